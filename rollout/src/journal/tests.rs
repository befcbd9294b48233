use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use proptest::prelude::*;

use super::disk::RealDisk;
use super::entry::Outcome;
use super::lock::LockError;
use super::verify::verify;
use super::*;
use crate::hands::Target;
use crate::judge::{GateVerdict, Judgement, Look, Verdict};

struct Temporary {
    _folder: tempfile::TempDir,
    folder: Folder,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_352_000 + seconds).unwrap()
}

fn trouble(what: &str) -> Event {
    Event::Trouble { what: what.to_owned() }
}

fn opened(module_sha256: &str) -> Event {
    Event::Opened {
        rollout: "0195-r".to_owned(),
        plan: "name: r\n".to_owned(),
        base: "/base".to_owned(),
        module_sha256: module_sha256.to_owned(),
        configuration_sha256: module_sha256.to_owned(),
        digests: std::iter::once(("0".to_owned(), "abc".to_owned())).collect(),
    }
}

fn finished() -> Event {
    Event::Finished { outcome: Outcome::Done, reason: "all have it".to_owned() }
}

impl Temporary {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path(), "r");
        Self { _folder: temporary, folder }
    }

    fn open(&self) -> Result<(Journal, Vec<Entry>), Error> {
        self.open_on(Arc::new(RealDisk))
    }

    fn open_on(&self, disk: Arc<dyn Disk>) -> Result<(Journal, Vec<Entry>), Error> {
        let lock = Lock::take(&self.folder, "ada@here", at(0)).unwrap();
        Journal::open(&self.folder, &lock, disk, "ada@here", at(0))
    }

    /// A rollout with a blob, and three lines more.
    fn filled() -> Self {
        let this = Self::new();
        let (mut journal, _) = this.open().unwrap();
        let blob = this.folder.blobs(Arc::new(RealDisk)).put(b"module").unwrap();
        for (second, what) in [opened(&blob), trouble("first"), trouble("second"), finished()].into_iter().enumerate() {
            journal.append("ada@here", at(second as i64), what).unwrap();
        }
        this
    }

    fn text(&self) -> Vec<u8> {
        std::fs::read(self.folder.journal()).unwrap()
    }

    fn write(&self, text: &[u8]) {
        std::fs::write(self.folder.journal(), text).unwrap();
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.text()).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn each_line_holds_the_hash_of_the_one_before() {
    let this = Temporary::filled();
    let lines = this.lines();
    let mut previous = FIRST.to_owned();
    for (number, line) in lines.iter().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["previous"], previous);
        assert_eq!(value["sequence"], number);
        previous = sha256(line.as_bytes());
    }
    assert_eq!(read(&this.folder.journal()).unwrap().head, previous);
    assert_eq!(
        sha256(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "FIPS 180-2, appendix B.1"
    );
}

#[test]
fn it_is_read_as_it_was_written() {
    let this = Temporary::filled();
    let (journal, entries) = this.open().unwrap();
    assert_eq!(entries, read(&this.folder.journal()).unwrap().entries);
    assert_eq!((journal.sequence, journal.head.clone()), (4, read(&this.folder.journal()).unwrap().head));
    assert_eq!(entries[3].what, finished());
}

#[test]
fn a_last_line_that_is_torn_is_cut_off_and_that_is_recorded() {
    let whole = Temporary::filled();
    let text = whole.text();
    let last = text[..text.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    // Wherever it is torn.
    for end in last + 1..text.len() {
        let this = Temporary::filled();
        this.write(&text[..end]);
        assert_eq!(read(&this.folder.journal()).unwrap().torn.unwrap().length, (end - last) as u64);
        assert_eq!(verify(&this.folder).unwrap().warnings.len(), 1);
        let (mut journal, entries) = this.open().unwrap();
        let Event::Trouble { what } = &entries[3].what else { panic!("{entries:?}") };
        assert!(what.starts_with(&format!("cut off {} bytes at the end", end - last)), "{what}");
        assert!(what.contains(&sha256(&text[last..end])));
        journal.append("ada@here", at(9), finished()).unwrap();
        assert_eq!(verify(&this.folder).unwrap().entries, 5);
    }
}

#[test]
fn zeros_that_a_crash_left_are_a_torn_line_too() {
    let this = Temporary::filled();
    let mut text = this.text();
    text.extend([0; 100]);
    this.write(&text);
    assert_eq!(this.open().unwrap().1.len(), 5);

    let this = Temporary::filled();
    let mut text = this.text();
    text.extend(b"{\"sequence\":4\0\0\0\0\0\0}\n");
    this.write(&text);
    assert_eq!(this.open().unwrap().1.len(), 5);
}

#[test]
fn any_other_damage_is_an_error_with_its_line() {
    let check = |change: fn(&mut Vec<String>), line: u64, expected: &str| {
        let this = Temporary::filled();
        let mut lines = this.lines();
        change(&mut lines);
        this.write((lines.join("\n") + "\n").as_bytes());
        let before = this.text();
        let error = this.open().map(|_| ()).unwrap_err();
        assert!(matches!(&error, Error::Damaged { line: found, .. } if *found == line), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(matches!(verify(&this.folder).unwrap_err().as_slice(), [Error::Damaged { .. }]));
        assert_eq!(this.text(), before, "nothing is repaired");
    };
    check(|lines| lines[1] = lines[1].replace("first", "fIrst"), 3, "was written after");
    check(|lines| _ = lines.remove(1), 2, "was written after");
    check(|lines| lines.swap(1, 2), 2, "was written after");
    check(|lines| lines[2] = "{}".to_owned(), 3, "not an entry");
    check(
        |lines| lines[3] = lines[3].replace("\"sequence\":3", "\"sequence\":7"),
        4,
        "its number is 7, and 3 comes next",
    );
    check(|lines| lines[3] = "half a li".to_owned(), 4, "not an entry");
    check(|lines| lines.insert(2, String::new()), 3, "not an entry");
}

#[test]
fn blobs_are_what_their_names_say() {
    let this = Temporary::filled();
    let blobs = this.folder.blobs(Arc::new(RealDisk));
    let name = sha256(b"module");
    assert_eq!(blobs.get(&name).unwrap(), b"module");
    assert_eq!(blobs.put(b"module").unwrap(), name, "once more is the same");
    let whole = verify(&this.folder).unwrap();
    assert_eq!((whole.entries, whole.rollouts, whole.blobs), (4, 1, 1));

    std::fs::write(blobs.path(&name), "changed").unwrap();
    let found = verify(&this.folder).unwrap_err();
    assert!(matches!(found.as_slice(), [Error::Blob { .. }]), "{found:?}");
    assert!(found[0].to_string().ends_with("(line 1 names it)"), "{}", found[0]);
    assert!(matches!(blobs.get(&name), Err(Error::Blob { .. })));

    std::fs::remove_file(blobs.path(&name)).unwrap();
    assert!(verify(&this.folder).unwrap_err()[0].to_string().contains("it is missing"));
    // What was damaged is put right by whoever has the bytes.
    blobs.put(b"module").unwrap();
    assert!(verify(&this.folder).is_ok());
}

#[test]
fn a_clock_that_went_backwards_is_a_warning() {
    let this = Temporary::filled();
    let (mut journal, _) = this.open().unwrap();
    journal.append("ada@here", at(-3600), trouble("late")).unwrap();
    let warnings = verify(&this.folder).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "line 5: its time, 2026-03-01T07:00:00Z, is before that of the line before, 2026-03-01T08:00:03Z: the clock was set back"
        ]
    );
}

#[test]
fn what_belongs_to_no_rollout_is_damage() {
    let check = |what: Vec<Event>, expected: Option<&str>| {
        let this = Temporary::filled();
        let (mut journal, _) = this.open().unwrap();
        for what in what {
            journal.append("ada@here", at(9), what).unwrap();
        }
        match (verify(&this.folder), expected) {
            (Ok(_), None) => {}
            (Err(found), Some(expected)) => assert!(found[0].to_string().contains(expected), "{found:?}"),
            (result, expected) => panic!("{result:?}, not {expected:?}"),
        }
    };
    let blob = sha256(b"module");
    check(vec![trouble("after the end")], None);
    check(vec![Event::RingStarted { ring: "0".to_owned() }], Some("it belongs to no rollout that is under way"));
    check(vec![opened(&blob), opened(&blob)], Some("a rollout begins before the one before it is over"));
    check(vec![Event::RollingBack { reason: "after all".to_owned() }, finished()], None);
    check(vec![opened(&blob), finished()], None);
}

#[test]
fn rollouts_are_told_apart() {
    let this = Temporary::filled();
    let (mut journal, _) = this.open().unwrap();
    journal.append("ada@here", at(9), opened(&sha256(b"module"))).unwrap();
    let read = read(&this.folder.journal()).unwrap();
    assert_eq!(read.rollouts().map(<[Entry]>::len).collect::<Vec<_>>(), [4, 1]);
    assert_eq!(read.latest().len(), 1);
    // What a crash left before the first rollout is of none.
    assert_eq!(rollouts(&read.entries[1..2]).count(), 0);
}

/// What no JSON can say must not get into the journal: it could never be read again.
#[test]
fn an_entry_that_cannot_be_read_back_is_not_written() {
    let this = Temporary::filled();
    let (mut journal, _) = this.open().unwrap();
    let gate = GateVerdict {
        gate: "errors".to_owned(),
        verdict: Verdict::Pass,
        reason: String::new(),
        numbers: std::iter::once(("share".to_owned(), f64::NAN)).collect(),
        history: Vec::new(),
        progress: 1.0,
    };
    let judgement = Judgement { verdict: Verdict::Pass, gates: vec![gate], requests: 1.0 };
    let look = Look { at: at(0), asked: Vec::new() };
    let before = this.text();
    assert!(matches!(
        journal.append("ada@here", at(0), Event::Looked { ring: "0".to_owned(), look, judgement }),
        Err(Error::NotJson(_))
    ));
    assert_eq!(this.text(), before);
    journal.append("ada@here", at(1), trouble("goes on")).unwrap();
    assert!(read(&this.folder.journal()).is_ok());
}

/// A disk with room for so many bytes, on which files cannot even be cut while it is full if `stuck`.
#[derive(Debug)]
struct Full {
    room: Mutex<usize>,
    stuck: bool,
}

impl Disk for Full {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.room.lock().unwrap();
        let fits = bytes.len().min(*room);
        *room -= fits;
        RealDisk.append(file, &bytes[..fits])?;
        if fits < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        if self.stuck && *self.room.lock().unwrap() == 0 {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        RealDisk.cut(file, length)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        RealDisk.put(path, bytes)
    }
}

#[test]
fn on_a_full_disk_an_entry_fails_and_can_be_tried_again() {
    for stuck in [false, true] {
        let this = Temporary::filled();
        let disk = Arc::new(Full { room: Mutex::new(50), stuck });
        let (mut journal, _) = this.open_on(disk.clone()).unwrap();
        for _ in 0..3 {
            let error = journal.append("ada@here", at(9), trouble("no room")).unwrap_err();
            assert!(matches!(&error, Error::NotWritten { .. }), "{error}");
        }
        // Others see a whole journal all the while; at most its last line is torn.
        assert_eq!(read(&this.folder.journal()).unwrap().torn.is_some(), stuck);
        *disk.room.lock().unwrap() = 10_000;
        journal.append("ada@here", at(9), trouble("room")).unwrap();
        let read = read(&this.folder.journal()).unwrap();
        assert_eq!((read.entries.len(), read.torn), (5, None));
    }
}

#[test]
fn one_process_at_a_time() {
    let this = Temporary::new();
    let lock = Lock::take(&this.folder, "ada@here", at(0)).unwrap();
    let LockError::Held(Some(holder)) = Lock::take(&this.folder, "bob@there", at(5)).unwrap_err() else {
        panic!("not held")
    };
    assert_eq!((holder.pid, holder.who.as_str(), holder.since), (std::process::id(), "ada@here", at(0)));
    drop(lock);
    let _lock = Lock::take(&this.folder, "bob@there", at(5)).unwrap();
    let LockError::Held(Some(holder)) = Lock::take(&this.folder, "ada@here", at(6)).unwrap_err() else {
        panic!("not held")
    };
    assert_eq!(holder.who, "bob@there");
}

fn event() -> impl Strategy<Value = Event> {
    let target = (".{0,8}", ".{0,8}").prop_map(|(ring, name)| Target { ring, name });
    prop_oneof![
        ".*".prop_map(|what| Event::Trouble { what }),
        (".*", ".*").prop_map(|(ring, why)| Event::Promoted { ring, why }),
        (target, proptest::option::of(".*")).prop_map(|(target, sha256)| Event::Writing { target, sha256 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in them, lines stay lines; and no single byte can be changed, but in the last line, where the next entry shows it.
    #[test]
    fn no_byte_can_be_changed_unseen(events in proptest::collection::vec(event(), 1..6), position in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let this = Temporary::new();
        let (mut journal, _) = this.open().unwrap();
        for what in &events {
            journal.append("ada@here", at(0), what.clone()).unwrap();
        }
        let last = journal.length;
        journal.append("ada@here", at(0), trouble("the last line")).unwrap();
        let found: Vec<Event> = read(&this.folder.journal()).unwrap().entries.into_iter().map(|entry| entry.what).collect();
        prop_assert_eq!(&found[..events.len()], &events[..]);

        let mut text = this.text();
        let position = position.index(usize::try_from(last).unwrap());
        text[position] ^= flip;
        let damaged = matches!(parse(&PathBuf::from("journal"), &text), Err(Error::Damaged { .. }));
        prop_assert!(damaged);
    }
}
