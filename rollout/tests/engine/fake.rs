//! A fleet of files: a proxy runs what is in its file as soon as it is there. Prometheus reads the same files, the judge goes by a score for each ring,
//! time passes when somebody sleeps, and everything can fail or be killed at a point of choice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rollout::engine::clock::Clock;
use rollout::engine::mailbox::{Ask, Mailbox, Request};
use rollout::engine::{Judging, Observer, Setup, Stop, Tools, World};
use rollout::hands::{Build, Hands, HandsError, Taken, Target};
use rollout::journal::disk::{Disk, RealDisk};
use rollout::journal::entry::{Entry, Event};
use rollout::journal::{self, Folder};
use rollout::judge::{Arm, Asked, Case, GateVerdict, Judgement, Look, Verdict};
use rollout::metrics::{Answer, Metrics, MetricsError, Sample};
use rollout::plan::{
    AnnouncePlan, Artifact, Bake, Freeze, Gates, HandsPlan, Inconclusive, Killed, Plan, Policy, Preset, PrometheusPlan,
    Ring,
};

pub(crate) const NAME: &str = "filter";
pub(crate) const RINGS: usize = 3;
pub(crate) const PROXIES: usize = 2;
pub(crate) const NEW: &str = "new";

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    PrometheusAway(bool),
    ProxyAway(usize, usize, bool),
    /// A proxy does not take the build, and does not say why.
    Silent(usize, usize, bool),
    /// 1 passes, 0 is not decided, -1 fails.
    Score(usize, f64),
    /// The clock on the wall jumps by so many seconds.
    Jump(i64),
    Ask(Ask),
    Stop,
    /// Somebody else writes to a place.
    Foreign(usize, usize),
    /// Somebody puts back there what was there before the rollout.
    Mend(usize, usize),
    /// So many bytes fit on the disk of the journal from now on.
    Room(Option<u64>),
}

/// Everything that the fakes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub root: PathBuf,
    pub steady: Duration,
    pub wall: Timestamp,
    pub script: Vec<(Duration, Happening)>,
    pub prometheus_away: bool,
    pub away: BTreeSet<(usize, usize)>,
    pub refuse: BTreeSet<(usize, usize)>,
    pub silent: BTreeSet<(usize, usize)>,
    pub scores: BTreeMap<usize, f64>,
    /// How long it takes to look at a ring.
    pub look: Duration,
    pub room: Option<u64>,
    pub plan: Plan,
    pub stop: Stop,
    pub seen: Vec<Entry>,
    pub waits: Vec<String>,
    pub writes: Vec<(Target, Option<Vec<u8>>)>,
    /// What is done at each point at which a process may be killed; gets the point's number.
    pub kill: Option<Kill>,
    pub points: u32,
}

/// Which point, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub at: u32,
    pub how: fn(),
}

/// The payload of a process that is only acted.
#[derive(Debug)]
pub(crate) struct Killed9;

/// Unwinds, and says nothing: everything on disk stays as it was at that moment.
pub(crate) fn unwind() {
    std::panic::resume_unwind(Box::new(Killed9));
}

#[derive(Debug, Clone)]
pub(crate) struct Fake(pub Arc<Mutex<Shared>>);

/// A temporary folder, in memory where that can be had: what a killed process wrote is there for the next one without a disk, and everything is synced so
/// often that a disk would be all that these tests wait for.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn start_of_time() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

impl Fake {
    /// A fleet in a folder; its files are made where they are missing.
    pub(crate) fn new(root: &Path) -> Self {
        let fleet = root.join("fleet");
        std::fs::create_dir_all(&fleet).unwrap();
        for ring in 0..RINGS {
            for proxy in 0..PROXIES {
                let path = fleet.join(format!("{ring}-p{proxy}"));
                // The last ring has nothing yet.
                if !path.exists() && ring + 1 < RINGS && !root.join("state").exists() {
                    std::fs::write(path, before(ring, proxy).unwrap()).unwrap();
                }
            }
        }
        Self(Arc::new(Mutex::new(Shared {
            root: root.to_owned(),
            steady: Duration::ZERO,
            wall: start_of_time(),
            script: Vec::new(),
            prometheus_away: false,
            away: BTreeSet::new(),
            refuse: BTreeSet::new(),
            silent: BTreeSet::new(),
            scores: (0..RINGS).map(|ring| (ring, 1.0)).collect(),
            look: Duration::ZERO,
            room: None,
            plan: plan(),
            stop: Stop::default(),
            seen: Vec::new(),
            waits: Vec::new(),
            writes: Vec::new(),
            kill: None,
            points: 0,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn at(&self, seconds: u64, what: Happening) -> &Self {
        let mut shared = self.lock();
        shared.script.push((Duration::from_secs(seconds), what));
        shared.script.sort_by_key(|(at, _)| *at);
        drop(shared);
        self
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::new(&self.lock().root.join("state"), NAME)
    }

    pub(crate) fn tools(&self) -> Tools {
        let shared = self.lock();
        Tools {
            world: Box::new(self.clone()),
            judge: Box::new(self.clone()),
            clock: Box::new(self.clone()),
            disk: Arc::new(self.clone()),
            observer: Box::new(self.clone()),
            stop: shared.stop.clone(),
            who: "ada@test".to_owned(),
            state: shared.root.join("state"),
        }
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup {
            plan_text: "the rollout file".to_owned(),
            base: PathBuf::from("/somewhere"),
            module: b"\0asm module".to_vec(),
            configuration: "{}".to_owned(),
            preflight: vec![("module".to_owned(), true, "it runs".to_owned())],
        }
    }

    /// A point at which the process may be killed.
    fn point(&self) {
        let mut shared = self.lock();
        shared.points += 1;
        let kill = shared.kill.filter(|kill| kill.at == shared.points);
        drop(shared);
        if let Some(kill) = kill {
            (kill.how)();
        }
    }

    pub(crate) fn content(&self, ring: usize, proxy: usize) -> Option<Vec<u8>> {
        std::fs::read(self.lock().root.join("fleet").join(format!("{ring}-p{proxy}"))).ok()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        journal::read(&self.folder().journal()).unwrap().entries
    }

    /// Whether all proxies have the build, or all have what they had, byte by byte.
    pub(crate) fn fleet(&self) -> Fleet {
        let all = || (0..RINGS).flat_map(|ring| (0..PROXIES).map(move |proxy| (ring, proxy)));
        let new = |(ring, proxy): (usize, usize)| self.content(ring, proxy) == Some(render(&digest(ring)));
        let old = |(ring, proxy): (usize, usize)| self.content(ring, proxy) == before(ring, proxy);
        if all().all(new) {
            Fleet::New
        } else if all().all(old) {
            Fleet::Old
        } else {
            let state = all().map(|(ring, proxy)| {
                (
                    format!("{ring}-p{proxy}"),
                    self.content(ring, proxy).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                )
            });
            Fleet::Mixed(state.collect())
        }
    }

    fn away(&self, target: &Target) -> bool {
        self.lock().away.contains(&place(target))
    }

    fn happen(&self, what: Happening) {
        let mut shared = self.lock();
        match what {
            Happening::PrometheusAway(away) => shared.prometheus_away = away,
            Happening::ProxyAway(ring, proxy, true) => _ = shared.away.insert((ring, proxy)),
            Happening::ProxyAway(ring, proxy, false) => _ = shared.away.remove(&(ring, proxy)),
            Happening::Silent(ring, proxy, true) => _ = shared.silent.insert((ring, proxy)),
            Happening::Silent(ring, proxy, false) => _ = shared.silent.remove(&(ring, proxy)),
            Happening::Score(ring, score) => _ = shared.scores.insert(ring, score),
            Happening::Jump(seconds) => {
                shared.wall = shared.wall.saturating_add(SignedDuration::from_secs(seconds)).unwrap()
            }
            Happening::Stop => shared.stop.ask(),
            Happening::Room(room) => shared.room = room,
            Happening::Foreign(ring, proxy) => {
                std::fs::write(shared.root.join("fleet").join(format!("{ring}-p{proxy}")), "somebody else's").unwrap();
            }
            Happening::Mend(ring, proxy) => {
                let path = shared.root.join("fleet").join(format!("{ring}-p{proxy}"));
                match before(ring, proxy) {
                    Some(bytes) => std::fs::write(path, bytes).unwrap(),
                    None => std::fs::remove_file(path).unwrap(),
                }
            }
            Happening::Ask(ask) => {
                let request =
                    Request { ask, who: "bob@test".to_owned(), comment: "as agreed".to_owned(), at: shared.wall };
                let mailbox = Mailbox::new(Folder::new(&shared.root.join("state"), NAME).requests());
                mailbox.leave(&RealDisk, &request).unwrap();
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fleet {
    New,
    Old,
    Mixed(Vec<(String, Option<String>)>),
}

fn place(target: &Target) -> (usize, usize) {
    (target.ring.parse().unwrap(), target.name.strip_prefix('p').unwrap().parse().unwrap())
}

pub(crate) fn target(ring: usize, proxy: usize) -> Target {
    Target { ring: ring.to_string(), name: format!("p{proxy}") }
}

/// What a place has before: bytes of its own, or nothing in the last ring.
pub(crate) fn before(ring: usize, proxy: usize) -> Option<Vec<u8>> {
    (ring + 1 < RINGS).then(|| format!("config: old{ring}\n# written by hand on proxy {proxy}\n").into_bytes())
}

pub(crate) fn digest(ring: usize) -> String {
    format!("{NEW}{ring}")
}

fn render(digest: &str) -> Vec<u8> {
    format!("config: {digest}\n").into_bytes()
}

fn config(bytes: &[u8]) -> Option<String> {
    String::from_utf8_lossy(bytes).lines().find_map(|line| Some(line.strip_prefix("config: ")?.to_owned()))
}

/// Bakes of a minute, looks every ten seconds.
pub(crate) fn plan() -> Plan {
    let seconds = Duration::from_secs;
    let bake = Bake { min: seconds(30), max: seconds(60) };
    Plan {
        name: NAME.to_owned(),
        artifact: Artifact {
            module: "m.wasm".into(),
            module_sha256: None,
            configuration: "c.yaml".into(),
            image: None,
            environment: Vec::new(),
        },
        hands: HandsPlan::FileEcds { filter: NAME.to_owned() },
        prometheus: PrometheusPlan {
            url: "http://127.0.0.1:9090".to_owned(),
            token_env: None,
            timeout: seconds(5),
            scrape_interval: seconds(5),
        },
        rings: (0..RINGS)
            .map(|ring| Ring {
                name: ring.to_string(),
                select: format!("ring=\"{ring}\""),
                expected: u32::try_from(PROXIES).unwrap(),
                instances: Vec::new(),
                match_labels: BTreeMap::new(),
                control: (ring + 1 < RINGS).then(|| (RINGS - 1).to_string()),
                approval: false,
                bake,
            })
            .collect(),
        gates: Gates {
            namespace: "eucora".to_owned(),
            preset: Preset::Envoy,
            signals: BTreeMap::new(),
            completeness: Some(0.005),
            traps: Some(0.0001),
            errors: Some(0.005),
            latency: None,
            cpu: None,
            memory: None,
            series: None,
            overflow: None,
            own: Vec::new(),
        },
        policy: Policy {
            interval: seconds(10),
            converge: seconds(20),
            settle: seconds(5),
            quorum: 1.0,
            false_stop: 0.01,
            missed_harm: 0.05,
            inconclusive: Inconclusive::Hold,
            killed: Killed::Hold,
            freeze: Vec::<Freeze>::new(),
            max_ring: None,
        },
        announce: AnnouncePlan::default(),
    }
}

impl World for Fake {
    fn plan(&self, text: &str, base: &Path) -> Result<Plan, Vec<String>> {
        assert_eq!((text, base), ("the rollout file", Path::new("/somewhere")));
        Ok(self.lock().plan.clone())
    }

    fn builds(&self, plan: &Plan, module: &[u8], configuration: &str) -> Result<BTreeMap<String, Build>, String> {
        assert_eq!((module, configuration), (&b"\0asm module"[..], "{}"));
        let build = |ring: &Ring| Build {
            module: module.to_vec(),
            module_sha256: rollout::build::sha256(module),
            configuration: configuration.to_owned(),
            digest: digest(ring.name.parse().unwrap()),
            image: None,
        };
        Ok(plan.rings.iter().map(|ring| (ring.name.clone(), build(ring))).collect())
    }

    fn hands(&self, _: &Plan) -> Result<Box<dyn Hands>, String> {
        Ok(Box::new(self.clone()))
    }

    fn metrics(&self, _: &Plan) -> Result<Box<dyn Metrics>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl Hands for Fake {
    fn targets(&self, ring: &Ring) -> Vec<Target> {
        (0..PROXIES).map(|proxy| target(ring.name.parse().unwrap(), proxy)).collect()
    }

    fn read(&self, target: &Target) -> Result<Option<Vec<u8>>, HandsError> {
        let (ring, proxy) = place(target);
        Ok(self.content(ring, proxy))
    }

    fn render(&self, target: &Target, previous: Option<&[u8]>, build: &Build) -> Result<Vec<u8>, HandsError> {
        let (ring, proxy) = place(target);
        assert_eq!(
            previous,
            before(ring, proxy).as_deref(),
            "rendered from what was there before the rollout, whoever asks"
        );
        Ok(render(&build.digest))
    }

    fn write(&self, target: &Target, bytes: Option<&[u8]>) -> Result<(), HandsError> {
        if self.away(target) {
            return Err(HandsError { target: target.clone(), what: "no route to host".to_owned() });
        }
        let entries = self.entries();
        let announced = entries.iter().rev().find_map(|entry| match &entry.what {
            Event::Writing { target: announced, sha256 } if announced == target => Some(sha256.clone()),
            _ => None,
        });
        assert_eq!(announced, Some(bytes.map(rollout::build::sha256)), "what is written was announced in the journal");
        let path = self.lock().root.join("fleet").join(format!("{}-{}", target.ring, target.name));
        self.point();
        match bytes {
            Some(bytes) => {
                let beside = path.with_extension("tmp");
                std::fs::write(&beside, bytes).unwrap();
                std::fs::rename(beside, &path).unwrap();
            }
            None => std::fs::remove_file(&path)
                .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .unwrap(),
        }
        self.lock().writes.push((target.clone(), bytes.map(<[u8]>::to_vec)));
        self.point();
        Ok(())
    }

    fn taken(&self, target: &Target, bytes: Option<&[u8]>, _: Timestamp) -> Result<Taken, HandsError> {
        if self.away(target) {
            return Err(HandsError { target: target.clone(), what: "its admin does not answer".to_owned() });
        }
        let (ring, proxy) = place(target);
        let new = bytes.and_then(config).is_some_and(|config| config.starts_with(NEW));
        let shared = self.lock();
        Ok(match (shared.refuse.contains(&(ring, proxy)), shared.silent.contains(&(ring, proxy))) {
            (true, _) if new => Taken::Refused("no such field: colour".to_owned()),
            (_, true) if new => Taken::Pending("still the old one".to_owned()),
            _ => Taken::Yes,
        })
    }
}

impl Metrics for Fake {
    fn query(&self, expression: &str, _: Timestamp) -> Result<Answer, MetricsError> {
        if self.lock().prometheus_away {
            return Err(MetricsError::Away("connection refused".to_owned()));
        }
        let ring: usize = expression.split("ring=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        let labels = |proxy: usize, config: String| {
            BTreeMap::from([("instance".to_owned(), format!("p{proxy}")), ("config".to_owned(), config)])
        };
        if expression.starts_with("score") {
            let value = self.lock().scores[&ring];
            return Ok(Answer { samples: vec![Sample { labels: BTreeMap::new(), value }], ..Answer::default() });
        }
        assert_eq!(expression, format!("eucora_edge_build_info{{ring=\"{ring}\"}} == 1"));
        let running = (0..PROXIES).filter(|proxy| !self.lock().away.contains(&(ring, *proxy)));
        let running = running.filter_map(|proxy| Some((proxy, config(&self.content(ring, proxy)?)?)));
        let samples = running.map(|(proxy, config)| Sample { labels: labels(proxy, config), value: 1.0 }).collect();
        Ok(Answer { samples, ..Answer::default() })
    }
}

impl Judging for Fake {
    fn look(&self, case: &Case<'_>, metrics: &dyn Metrics, at: Timestamp) -> Look {
        let took = self.lock().look;
        self.sleep(took);
        let select = &case.ring.select;
        let ask = |signal: &str, query: String| Asked {
            signal: signal.to_owned(),
            arm: Arm::Ring,
            answer: metrics.query(&query, at),
            query,
        };
        let mut asked = vec![ask("build", format!("eucora_edge_build_info{{{select}}} == 1"))];
        asked.push(ask("score", format!("score{{{select}}}")));
        Look { at, asked }
    }

    fn judge(&self, case: &Case<'_>, looks: &[Look]) -> Judgement {
        let answer =
            |signal: &str| looks.last()?.asked.iter().find(|asked| asked.signal == signal)?.answer.as_ref().ok();
        let here = |answer: &Answer| {
            answer
                .samples
                .iter()
                .filter(|sample| sample.labels.get("config").map(String::as_str) == case.digest)
                .count()
        };
        let liveness = answer("build").map_or(Verdict::Inconclusive, |answer| match here(answer) {
            PROXIES => Verdict::Pass,
            _ => Verdict::Inconclusive,
        });
        let score = answer("score").map_or(Verdict::Inconclusive, |answer| match answer.samples[0].value {
            score if score > 0.0 => Verdict::Pass,
            score if score < 0.0 => Verdict::Fail,
            _ => Verdict::Inconclusive,
        });
        // A number that JSON has no form for, as a judge may come to by dividing by nothing.
        let numbers = BTreeMap::from([("share".to_owned(), f64::NAN), ("requests".to_owned(), 7.0)]);
        let gate = |gate: &str, verdict| GateVerdict {
            gate: gate.to_owned(),
            verdict,
            reason: format!("{verdict:?}, by the score"),
            numbers: numbers.clone(),
            history: vec![(Some(f64::INFINITY), Some(1.0))],
            progress: f64::NAN,
        };
        let gates = vec![gate("liveness", liveness), gate("errors", score), gate("traps", score)];
        let verdict = [Verdict::Fail, Verdict::Inconclusive]
            .into_iter()
            .find(|verdict| gates.iter().any(|gate| gate.verdict == *verdict));
        Judgement { verdict: verdict.unwrap_or(Verdict::Pass), gates, requests: 100.0 }
    }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        self.lock().wall
    }

    fn steady(&self) -> Duration {
        self.lock().steady
    }

    fn sleep(&self, time: Duration) {
        let mut shared = self.lock();
        shared.steady += time;
        shared.wall = shared.wall.saturating_add(time).unwrap();
        let now = shared.steady;
        assert!(now < Duration::from_secs(100_000), "it goes on for ever: {:?}", shared.waits.last());
        let later = shared.script.iter().position(|(at, _)| *at > now).unwrap_or(shared.script.len());
        let due: Vec<_> = shared.script.drain(..later).collect();
        drop(shared);
        for (_, what) in due {
            self.happen(what);
        }
    }
}

impl Observer for Fake {
    fn entry(&mut self, entry: &Entry) {
        self.lock().seen.push(entry.clone());
    }

    fn waits(&mut self, what: &str) {
        self.lock().waits.push(what.to_owned());
    }
}

impl Disk for Fake {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.point();
        let (room, killed_next) = {
            let shared = self.lock();
            (shared.room, shared.kill.is_some_and(|kill| kill.at == shared.points + 1))
        };
        let fits = room.map_or(bytes.len(), |room| bytes.len().min(usize::try_from(room).unwrap()));
        if killed_next {
            // Half a line, as a crash leaves it.
            RealDisk.append(file, &bytes[..(bytes.len() / 2).min(fits)])?;
        }
        self.point();
        RealDisk.append(file, &bytes[..fits])?;
        if let Some(room) = &mut self.lock().room {
            *room -= fits as u64;
        }
        if fits < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.point();
        Ok(())
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        RealDisk.cut(file, length)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.point();
        let mut shared = self.lock();
        if let Some(room) = &mut shared.room {
            if (bytes.len() as u64) > *room {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *room -= bytes.len() as u64;
        }
        drop(shared);
        RealDisk.put(path, bytes)?;
        self.point();
        Ok(())
    }
}
