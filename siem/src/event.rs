//! What is delivered: one security event, bounded in every part.

mod codec;
mod text;

pub use text::{MAX_NUMBER, Number, Text};

/// How many names and values of its own an event may carry.
pub const MAX_EXTRA: usize = 8;

/// What kind of activity an event is about. It decides the class of OCSF and the table of ASIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody decided about a change: an approval, a rejection, an approval of one's own change.
    Decision,
    /// Somebody could not prove who they are.
    Authentication,
    /// Somebody asked for what they may not have.
    Authorization,
    /// Somebody used a privilege: a connector's deployment, a removal, a change of policy.
    PrivilegedOperation,
    /// Somebody looked for a weakness: path traversal, encoded control bytes, oversized headers, unknown methods.
    Probe,
}

/// How much an event matters; five steps, as in OCSF (`severity_id` 1 to 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth keeping.
    Informational,
    /// Worth knowing.
    Low,
    /// Worth a look.
    Medium,
    /// Somebody should act.
    High,
    /// Somebody must act now.
    Critical,
}

/// The names and values that only some events have, at most [`MAX_EXTRA`], each name once.
///
/// **Invariant:** [`Extra::add`] alone adds, and keeps both bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra(Vec<(Text<64>, Text<256>)>);

/// A security event. The bound of each text is in its type, in bytes; all may contain anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A UUID (version 7) that stays the same however often the event is sent: receivers find duplicates by it.
    pub uid: [u8; 16],
    /// `EventType`, such as `CAB_APPROVAL`.
    pub kind: Text<64>,
    /// What kind of activity it is about.
    pub class: Class,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The correlation ID of the request.
    pub correlation_id: Option<Text<128>>,
    /// The deployment that the request is about.
    pub deployment_id: Option<Text<128>>,
    /// What was decided, such as `APPROVED`.
    pub decision: Option<Text<64>>,
    /// Who decided: a name, an address or a hash of it.
    pub approved_by: Option<Text<256>>,
    /// The risk score.
    pub risk_score: Option<Number>,
    /// The address of the client, without a port.
    pub source: Option<Text<64>>,
    /// The request's method.
    pub method: Option<Text<32>>,
    /// The route template, never the path.
    pub endpoint: Option<Text<256>>,
    /// The response's status code.
    pub status: Option<u16>,
    /// The deployment ring.
    pub ring: Option<Text<32>>,
    /// How many requests it stands for; more than one for a burst.
    pub count: u32,
    /// What only some events have.
    pub extra: Extra,
}

impl Class {
    /// The severity of an event about which no more is known.
    pub fn severity(self) -> Severity {
        match self {
            Self::Decision => Severity::Informational,
            Self::PrivilegedOperation => Severity::Low,
            Self::Authentication | Self::Authorization | Self::Probe => Severity::Medium,
        }
    }
}

impl Extra {
    /// Adds a value, or replaces the one of that name. Says whether there was room.
    pub fn add(&mut self, name: Text<64>, value: Text<256>) -> bool {
        if let Some((_, old)) = self.0.iter_mut().find(|(known, _)| *known == name) {
            *old = value;
            return true;
        }
        let has_room = self.0.len() < MAX_EXTRA;
        if has_room {
            self.0.push((name, value));
        }
        has_room
    }

    /// Names and values, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Event {
    /// An event of one request, of which nothing else is known yet. Its severity is its class's.
    pub fn new(uid: [u8; 16], kind: &str, class: Class, time_ns: u64) -> Self {
        Self {
            uid,
            kind: Text::new(kind),
            class,
            severity: class.severity(),
            time_ns,
            correlation_id: None,
            deployment_id: None,
            decision: None,
            approved_by: None,
            risk_score: None,
            source: None,
            method: None,
            endpoint: None,
            status: None,
            ring: None,
            count: 1,
            extra: Extra::default(),
        }
    }

    /// How much memory it takes, in bytes, nearly: itself and its texts.
    pub fn size(&self) -> usize {
        fn of<const MAX: usize>(text: &Option<Text<MAX>>) -> usize {
            text.as_ref().map_or(0, |text| text.as_str().len())
        }
        let texts = self.kind.as_str().len()
            + of(&self.correlation_id)
            + of(&self.deployment_id)
            + of(&self.decision)
            + of(&self.approved_by)
            + self.risk_score.as_ref().map_or(0, |number| number.as_str().len())
            + of(&self.source)
            + of(&self.method)
            + of(&self.endpoint)
            + of(&self.ring);
        let entry = size_of::<(Text<64>, Text<256>)>();
        size_of::<Self>()
            + texts
            + self.extra.iter().map(|(name, value)| entry + name.len() + value.len()).sum::<usize>()
    }
}
