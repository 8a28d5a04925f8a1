//! One node: a task that owns a socket, a foca instance and its timers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foca::{AccumulatingRuntime, Config, Foca, Identity, NoCustomBroadcast, OwnedNotification, PostcardCodec, Timer};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A node that nobody has answered announces itself again after so long: the announcement is one datagram.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);
const FAR_OFF: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    pub addr: SocketAddr,
    /// Lets a node that was declared down come back.
    bump: u64,
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Id { addr: self.addr, bump: self.bump + 1 })
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.bump > adversary.bump
    }
}

/// How many members each node holds active, itself included.
pub struct Views(Vec<AtomicUsize>);

impl Views {
    pub fn new(count: usize) -> Self {
        Views((0..count).map(|_| AtomicUsize::new(1)).collect())
    }

    pub fn all_hold(&self, count: usize) -> bool {
        self.0.iter().all(|view| view.load(Relaxed) == count)
    }
}

/// That one node came to hold another down.
pub struct Death {
    pub observer: usize,
    pub whose: SocketAddr,
    pub at: Instant,
}

pub struct Node {
    pub id: Id,
    task: JoinHandle<io::Result<()>>,
}

impl Node {
    /// Binds a socket and starts the task; `count` is the size that the cluster will have.
    pub async fn open(
        number: usize,
        count: usize,
        bind: SocketAddr,
        seed: Option<Id>,
        views: Arc<Views>,
        tell: UnboundedSender<Death>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(bind).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let id = Id { addr: socket.local_addr()?, bump: now.as_millis() as u64 };
        let size = NonZeroU32::new(count as u32).ok_or_else(|| io::Error::other("a cluster of nobody"))?;
        views.0[number].store(1, Relaxed);
        let running = Running {
            number,
            socket,
            foca: Foca::new(id.clone(), Config::new_lan(size), rand::make_rng(), PostcardCodec),
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            views,
            tell,
        };
        Ok(Node { id, task: tokio::spawn(running.run(seed)) })
    }

    /// Drops the task and with it the socket.
    pub async fn end(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

struct Running {
    number: usize,
    socket: UdpSocket,
    foca: Foca<Id, PostcardCodec, StdRng, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Id>,
    timers: BinaryHeap<Reverse<(Instant, Timer<Id>)>>,
    views: Arc<Views>,
    tell: UnboundedSender<Death>,
}

impl Running {
    async fn run(mut self, seed: Option<Id>) -> io::Result<()> {
        let mut buffer = [0; 2048];
        let mut announce_at = Instant::now();
        loop {
            let seed_wanted = seed.as_ref().filter(|_| self.foca.num_members() == 0);
            if let Some(seed) = seed_wanted
                && announce_at <= Instant::now()
            {
                announce_at = Instant::now() + ANNOUNCE_AGAIN;
                let _ = self.foca.announce(seed.clone(), &mut self.runtime);
                self.drain().await;
            }
            let mut due = seed_wanted.map_or_else(|| Instant::now() + FAR_OFF, |_| announce_at);
            if let Some(Reverse((timer_due, _))) = self.timers.peek() {
                due = due.min(*timer_due);
            }
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // An error is that of an earlier datagram, to a port where nobody listens any more.
                    if let Ok((size, _)) = received {
                        let _ = self.foca.handle_data(&buffer[..size], &mut self.runtime);
                    }
                }
                () = sleep_until(due) => {
                    while let Some(Reverse((due, _))) = self.timers.peek() && *due <= Instant::now() {
                        if let Some(Reverse((_, timer))) = self.timers.pop() {
                            let _ = self.foca.handle_timer(timer, &mut self.runtime);
                        }
                    }
                }
            }
            self.drain().await;
        }
    }

    /// Does what foca asked for.
    async fn drain(&mut self) {
        while let Some((to, data)) = self.runtime.to_send() {
            let _ = self.socket.send_to(&data, to.addr).await;
        }
        let now = Instant::now();
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.push(Reverse((now + after, timer)));
        }
        while let Some(notification) = self.runtime.to_notify() {
            if let OwnedNotification::MemberDown(id) = notification {
                let _ = self.tell.send(Death { observer: self.number, whose: id.addr, at: now });
            }
        }
        self.views.0[self.number].store(self.foca.num_members() + 1, Relaxed);
    }
}
