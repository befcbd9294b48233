//! Several workers of one proxy with one clock and one shared value, in front of an API that is not always there.

use super::super::election::{Proposal, propose};
use super::*;

const TICK: u64 = SECOND;
const LEASE: u64 = 8 * SECOND;
/// The clock of the proxy goes by this between two looks at the workers.
const STEP: u64 = SECOND / 5;

/// What happens to the proxy.
#[derive(Clone, Debug)]
enum Event {
    /// The worker ends without giving anything back; another comes in its place.
    Death(usize),
    /// The worker is stuck for so many seconds.
    Sleep(usize, u64),
    /// The clock is set.
    Clock(i64),
    /// The API refuses for so many seconds.
    Down(u64),
}

struct Vm {
    poller: Poller,
    holder: [u8; 16],
    next_tick: u64,
    asleep_until: u64,
    /// Its request: when the answer comes, and what is in it if it is good.
    pending: Option<(u32, u64, Option<u64>)>,
    last_token: u32,
}

struct Proxy {
    vms: Vec<Vm>,
    shared: Option<Vec<u8>>,
    /// Time as it is, and what the clock is off by.
    time: u64,
    offset: i64,
    down_until: u64,
    born: u8,
    random: u64,
    /// The gauge as the proxy shows it, and when that was the truth.
    shown: Option<u64>,
    /// When requests were made, and by whom.
    asked: Vec<(u64, u8)>,
    good: Vec<u64>,
}

impl Proxy {
    fn new(workers: usize, random: u64) -> Self {
        let mut proxy = Self {
            vms: Vec::new(),
            shared: None,
            time: 0,
            offset: 0,
            down_until: 0,
            born: 0,
            random,
            shown: None,
            asked: Vec::new(),
            good: Vec::new(),
        };
        for _ in 0..workers {
            let vm = proxy.vm();
            proxy.vms.push(vm);
        }
        proxy
    }

    fn vm(&mut self) -> Vm {
        self.born += 1;
        let gauge = GaugeSpec { stale: Some(0), ..gauge("queue", "/queue", &[]) };
        let poller = Poller::new(Plan::new(spec(vec![gauge])).unwrap());
        let next_tick = self.time + self.random() % TICK;
        Vm { poller, holder: [self.born; 16], next_tick, asleep_until: 0, pending: None, last_token: 0 }
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 20
    }

    /// The truth grows, so that what is shown says from when it is.
    fn truth(&self) -> u64 {
        self.time / SECOND + 1
    }

    fn clock(&self) -> u64 {
        NOW.saturating_add_signed(self.offset) + self.time
    }

    fn holder(&self) -> Option<u8> {
        self.shared.as_ref().map(|value| value[0])
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Death(worker) => {
                let worker = worker % self.vms.len();
                self.vms[worker] = self.vm();
            }
            Event::Sleep(worker, seconds) => {
                let worker = worker % self.vms.len();
                self.vms[worker].asleep_until = self.time + seconds * SECOND;
            }
            Event::Clock(seconds) => self.offset += seconds * SECOND as i64,
            Event::Down(seconds) => self.down_until = self.time + seconds * SECOND,
        }
    }

    /// A step of time: callbacks that are due, in the order of the workers.
    fn step(&mut self) {
        self.time += STEP;
        for worker in 0..self.vms.len() {
            let (clock, time, truth, random) = (self.clock(), self.time, self.truth(), self.random());
            let is_up = time >= self.down_until;
            let vm = &mut self.vms[worker];
            if vm.asleep_until > time {
                continue;
            }
            if let Some((token, at, body)) = vm.pending.filter(|(_, at, _)| *at <= time) {
                vm.pending = None;
                let answer = match body {
                    Some(value) => {
                        vm.poller.piece(token, format!("{{\"queue\": {value}}}").as_bytes());
                        Answer::Status(200)
                    }
                    None if at % 2 == 0 => Answer::None,
                    None => Answer::Status(503),
                };
                if vm.poller.answer(token, clock, answer) == Some(Outcome::Ok) {
                    self.good.push(time);
                }
            }
            if vm.next_tick <= time {
                vm.next_tick = time + TICK;
                let held = match propose(self.shared.as_deref(), vm.holder, clock, LEASE, vm.poller.fresh_ns(clock)) {
                    Proposal::Held(held) => {
                        self.shared = Some(held.write.to_vec());
                        Some(held)
                    }
                    Proposal::Other => None,
                };
                if vm.poller.tick(clock, held.as_ref(), random).is_some() {
                    vm.last_token += 1;
                    vm.poller.sent(vm.last_token);
                    let latency = random % (2 * SECOND);
                    vm.pending = Some((vm.last_token, time + latency, is_up.then_some(truth)));
                    self.asked.push((time, vm.holder[0]));
                    assert_eq!(self.shared.as_ref().map(|value| value[0]), Some(vm.holder[0]), "only the holder asks");
                }
            }
            if let Some((_, value)) = vm.poller.changed().last() {
                self.shown = Some(value);
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * SECOND / STEP {
            self.step();
        }
    }

    /// The staleness that the workers report.
    fn staleness(&self) -> Vec<u64> {
        self.vms.iter().filter_map(|vm| vm.poller.staleness_s()).collect()
    }
}

/// The longest wait from one request to the next while all is well, in seconds: the interval and a tenth, the latency, and ticks.
const PERIOD: u64 = 22 + 2 + 2;

#[test]
fn one_worker_asks_every_interval() {
    let mut proxy = Proxy::new(4, 1);
    proxy.run(1000);
    assert!((40..=60).contains(&proxy.asked.len()), "{}", proxy.asked.len());
    assert!(proxy.asked.iter().all(|(_, holder)| *holder == proxy.asked[0].1));
    assert!(proxy.asked.windows(2).all(|pair| (18 * SECOND..=PERIOD * SECOND).contains(&(pair[1].0 - pair[0].0))));
    assert_eq!(proxy.staleness().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whoever dies, however often: requests go on within the lease and an interval, from one worker at a time, and what is shown is the truth of
    /// no longer ago.
    #[test]
    fn deaths_interrupt_for_the_lease_and_an_interval_at_most(
        workers in 1_usize..5,
        random in any::<u64>(),
        deaths in prop::collection::vec((1_u64..120, 0_usize..5), 0..12),
    ) {
        let mut proxy = Proxy::new(workers, random);
        for (wait, worker) in deaths {
            proxy.run(wait);
            let was_holder = proxy.holder() == Some(proxy.vms[worker % workers].holder[0]);
            proxy.happen(&Event::Death(worker));
            if was_holder {
                let before = proxy.asked.len();
                proxy.run(LEASE / SECOND + 20 + 3);
                prop_assert!(proxy.asked.len() > before, "{:?}", proxy.asked);
            }
        }
        proxy.run(60);
        prop_assert_eq!(proxy.staleness().len(), 1);
        let shown = proxy.shown.unwrap();
        prop_assert!(proxy.truth() - shown <= PERIOD + 2, "{} at {}", shown, proxy.truth());
        let good = proxy.good.last().unwrap();
        prop_assert!(proxy.staleness()[0].abs_diff((proxy.time - good) / SECOND) <= 2);
        // One worker at a time: no request from another within the rest of a lease.
        for pair in proxy.asked.windows(2) {
            prop_assert!(pair[0].1 == pair[1].1 || pair[1].0 - pair[0].0 >= LEASE - TICK - STEP, "{:?}", pair);
        }
    }

    /// Staleness counts across workers: what is shown goes to its stale value a minute after the last good answer, and comes back with the next.
    #[test]
    fn values_go_stale_whoever_holds_the_lease(
        workers in 2_usize..5,
        random in any::<u64>(),
        deaths in prop::collection::vec(5_u64..30, 0..5),
    ) {
        let mut proxy = Proxy::new(workers, random);
        proxy.run(60);
        proxy.happen(&Event::Down(400));
        // An answer from before may still be on its way.
        proxy.run(3);
        let good = *proxy.good.last().unwrap();
        let mut deaths = deaths.into_iter();
        let mut next = deaths.next().map(|wait| proxy.time + wait * SECOND);
        while proxy.time < good + 300 * SECOND {
            proxy.run(1);
            if next.is_some_and(|at| at <= proxy.time) {
                let holder = proxy.holder();
                let worker = proxy.vms.iter().position(|vm| Some(vm.holder[0]) == holder).unwrap_or(0);
                proxy.happen(&Event::Death(worker));
                next = deaths.next().map(|wait| proxy.time + wait * SECOND);
            }
            let age = (proxy.time - good) / SECOND;
            for staleness in proxy.staleness() {
                prop_assert!(staleness.abs_diff(age) <= 2, "{} at {}", staleness, age);
            }
            if age < 60 {
                prop_assert!(proxy.shown.is_some_and(|shown| shown > 0));
            } else if age > 60 + LEASE / SECOND + 2 {
                prop_assert_eq!(proxy.shown, Some(0));
            }
        }
        proxy.run(200);
        prop_assert!(proxy.shown.is_some_and(|shown| proxy.truth() - shown <= PERIOD + 2));
    }

    /// Whatever happens: only the holder asks, requests do not come in storms, and a few minutes of peace later all is as it should be.
    #[test]
    fn everything_heals(
        workers in 1_usize..5,
        random in any::<u64>(),
        events in prop::collection::vec((0_u64..40, prop_oneof![
            (0_usize..5).prop_map(Event::Death),
            ((0_usize..5), 0_u64..60).prop_map(|(worker, seconds)| Event::Sleep(worker, seconds)),
            (-10_000_i64..10_000).prop_map(Event::Clock),
            (-12_i64..12).prop_map(Event::Clock),
            (0_u64..200).prop_map(Event::Down),
        ]), 0..20),
    ) {
        let mut proxy = Proxy::new(workers, random);
        let mut count = 0;
        for (wait, event) in events {
            proxy.run(wait);
            proxy.happen(&event);
            count += 1;
        }
        // The longest outage and sleep, the longest backoff, a lease twice.
        proxy.run(200 + 60 + 30 + 16);
        let start = proxy.asked.len();
        let holder = proxy.holder();
        proxy.run(200);
        prop_assert_eq!(proxy.holder(), holder);
        prop_assert!((6..=12).contains(&(proxy.asked.len() - start)), "{:?}", &proxy.asked[start..]);
        prop_assert_eq!(proxy.staleness().len(), 1);
        prop_assert!(proxy.shown.is_some_and(|shown| proxy.truth() - shown <= PERIOD + 2));
        // Each second of failure asks at most once, as there is one tick; each event may bring one request forward.
        let seconds = proxy.time / SECOND;
        prop_assert!(proxy.asked.len() as u64 <= seconds / 8 + 2 * count + 40, "{} in {}", proxy.asked.len(), seconds);
    }
}
