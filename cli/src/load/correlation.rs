//! What an answer must say of the correlation ID.

use http::{HeaderMap, HeaderName};

use super::SentId;

/// What the proxy is configured to do with IDs.
#[derive(Debug, Clone)]
pub struct CorrelationCheck {
    /// The header that carries the ID.
    pub header: HeaderName,
    /// Whether this client is one whose well-formed IDs are kept.
    pub trusted: bool,
}

/// How IDs came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorrelationLedger {
    /// The well-formed ID that was sent came back.
    pub kept: u64,
    /// None was sent, and one came back.
    pub generated: u64,
    /// A refused one was sent, and another came back.
    pub replaced: u64,
    /// None of these: that is a fault.
    pub wrong: u64,
    /// The first such answer.
    pub first_wrong: Option<String>,
}

impl CorrelationLedger {
    /// Adds another ledger.
    pub fn merge(&mut self, other: Self) {
        self.kept += other.kept;
        self.generated += other.generated;
        self.replaced += other.replaced;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
    }

    /// Checks one answer.
    pub(super) fn check(
        &mut self,
        check: &CorrelationCheck,
        sent: &SentId,
        answer: &HeaderMap,
        request: impl FnOnce() -> String,
    ) {
        let mut lines = answer.get_all(&check.header).iter();
        let problem = match (lines.next(), lines.next()) {
            (None, _) => Some("no correlation ID".to_owned()),
            (Some(_), Some(_)) => Some("more than one line of correlation ID".to_owned()),
            (Some(back), None) => {
                let plausible = (8..=128).contains(&back.len()) && back.as_bytes().iter().all(u8::is_ascii_graphic);
                match sent {
                    _ if !plausible => Some(format!("the correlation ID {back:?}")),
                    SentId::Good(id) if check.trusted && id != back => {
                        Some(format!("the correlation ID {back:?} in place of {id:?}"))
                    }
                    SentId::Good(_) if check.trusted => {
                        self.kept += 1;
                        None
                    }
                    SentId::Good(id) if id == back => {
                        Some(format!("the correlation ID {id:?} of a sender who is not trusted"))
                    }
                    SentId::Bad(values) if values.contains(back) => {
                        Some(format!("the correlation ID {back:?}, which is not one"))
                    }
                    SentId::Good(_) | SentId::Bad(_) => {
                        self.replaced += 1;
                        None
                    }
                    SentId::None => {
                        self.generated += 1;
                        None
                    }
                }
            }
        };
        if let Some(problem) = problem {
            self.wrong += 1;
            self.first_wrong.get_or_insert_with(|| format!("{} was answered with {problem}", request()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(trusted: bool, sent: &SentId, back: &[&'static str]) -> (u64, u64, u64, u64) {
        let header = HeaderName::from_static("x-correlation-id");
        let mut answer = HeaderMap::new();
        for value in back {
            answer.append(&header, HeaderValue::from_static(value));
        }
        let mut ledger = CorrelationLedger::default();
        ledger.check(&CorrelationCheck { header, trusted }, sent, &answer, || "GET /".to_owned());
        (ledger.kept, ledger.generated, ledger.replaced, ledger.wrong)
    }

    #[test]
    fn every_answer_is_one_of_four() {
        let good = SentId::Good(HeaderValue::from_static("id-12345678"));
        let bad = SentId::Bad(vec![HeaderValue::from_static("not,one,at all")]);
        let (kept, generated, replaced, wrong) = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1));
        assert_eq!(check(true, &good, &["id-12345678"]), kept);
        assert_eq!(check(true, &good, &["id-another"]), wrong);
        assert_eq!(check(false, &good, &["id-12345678"]), wrong);
        assert_eq!(check(false, &good, &["id-another"]), replaced);
        assert_eq!(check(true, &SentId::None, &["id-another"]), generated);
        assert_eq!(check(true, &bad, &["id-another"]), replaced);
        assert_eq!(check(true, &bad, &["not,one,at all"]), wrong);
        assert_eq!(check(true, &good, &[]), wrong);
        assert_eq!(check(true, &good, &["id-12345678", "id-12345678"]), wrong);
        assert_eq!(check(true, &SentId::None, &["short"]), wrong);
    }
}
