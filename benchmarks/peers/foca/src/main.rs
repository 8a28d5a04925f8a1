//! N nodes of foca in its LAN configuration, which does not encrypt, each a task with its own UDP socket.
//! The contract of a peer program is in benchmarks/peers/__init__.py.
//!
//! All tasks share one thread: with more of them a node costs more, not less.

mod node;

use std::collections::HashSet;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Stdin};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use node::{Death, Id, Node, Views};

const POLL: Duration = Duration::from_millis(20);
/// A death that is not known to all by then counts as not known.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    nodes: Vec<Node>,
    views: Arc<Views>,
    deaths: UnboundedReceiver<Death>,
    /// For nodes that are started later.
    tell: UnboundedSender<Death>,
    /// The addresses of nodes that were ended and not started again.
    crashed: HashSet<SocketAddr>,
    false_deaths: usize,
    last_victim: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (count, spread) = arguments()?;
    let mut input = BufReader::new(tokio::io::stdin());
    let begin = Instant::now();
    let mut cluster = tokio::select! {
        formed = Cluster::form(count, spread) => formed?,
        ended = closed(&mut input) => return ended,
    };
    println!(
        r#"{{"event":"formed","seconds":{:.3},"name":"foca","version":"{}","encrypted":false,"profile":"lan","loop":"tokio"}}"#,
        begin.elapsed().as_secs_f64(),
        version(),
    );
    let mut line = String::new();
    while input.read_line(&mut line).await? > 0 {
        match line.trim() {
            "crash" => cluster.crash().await,
            "restart" => cluster.restart().await?,
            other => return Err(format!("unknown command {other:?}").into()),
        }
        line.clear();
    }
    Ok(())
}

impl Cluster {
    /// Starts the first node, then all others over `spread`, each announcing itself to the first.
    async fn form(count: usize, spread: Duration) -> Result<Self, Box<dyn Error>> {
        let (tell, deaths) = mpsc::unbounded_channel();
        let views = Arc::new(Views::new(count));
        let begin = Instant::now();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut nodes: Vec<Node> = Vec::with_capacity(count);
        for number in 0..count {
            sleep_until(begin + spread.mul_f64(number as f64 / count as f64)).await;
            let seed: Option<Id> = nodes.first().map(|first| first.id.clone());
            nodes.push(Node::open(number, count, anywhere, seed, Arc::clone(&views), tell.clone()).await?);
        }
        let cluster = Cluster { nodes, views, deaths, tell, crashed: HashSet::new(), false_deaths: 0, last_victim: 0 };
        cluster.complete().await;
        Ok(cluster)
    }

    async fn complete(&self) {
        while !self.views.all_hold(self.nodes.len()) {
            sleep(POLL).await;
        }
    }

    /// Ends one node without goodbye and waits until all others hold it down.
    async fn crash(&mut self) {
        self.last_victim = self.last_victim % (self.nodes.len() - 1) + 1;
        let victim = &mut self.nodes[self.last_victim];
        let address = victim.id.addr;
        victim.end().await;
        let at = Instant::now();
        self.crashed.insert(address);
        let mut told = HashSet::new();
        let (mut first, mut all) = (None, None);
        while all.is_none() {
            let Ok(Some(death)) = timeout_at(at + PATIENCE, self.deaths.recv()).await else {
                break;
            };
            if death.whose == address {
                told.insert(death.observer);
                let after = (death.at - at).as_secs_f64();
                first.get_or_insert(after);
                all = (told.len() == self.nodes.len() - 1).then_some(after);
            } else if !self.crashed.contains(&death.whose) {
                self.false_deaths += 1;
            }
        }
        println!(
            r#"{{"event":"crash","first_s":{},"all_know_s":{},"false_deaths":{}}}"#,
            number_or_null(first),
            number_or_null(all),
            self.false_deaths,
        );
    }

    /// Starts the ended node again, where it was, and waits until every view is complete.
    async fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        let begin = Instant::now();
        let (number, count) = (self.last_victim, self.nodes.len());
        let seed = Some(self.nodes[0].id.clone());
        let address = self.nodes[number].id.addr;
        self.crashed.remove(&address);
        self.nodes[number] =
            Node::open(number, count, address, seed, Arc::clone(&self.views), self.tell.clone()).await?;
        self.complete().await;
        println!(r#"{{"event":"restored","seconds":{:.3}}}"#, begin.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Returns when standard input ends, which ends this program.
async fn closed(input: &mut BufReader<Stdin>) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    match input.read_line(&mut line).await? {
        0 => Ok(()),
        _ => Err("a command came before the cluster had formed".into()),
    }
}

fn number_or_null(seconds: Option<f64>) -> String {
    seconds.map_or("null".to_owned(), |seconds| format!("{seconds:.6}"))
}

fn arguments() -> Result<(usize, Duration), Box<dyn Error>> {
    let (mut count, mut spread) = (0, 0.0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--nodes" => count = value.parse()?,
            "--spread" => spread = value.parse()?,
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    if count < 2 {
        return Err(format!("--nodes must be at least 2, not {count}").into());
    }
    Ok((count, Duration::from_secs_f64(spread)))
}

/// Of foca, as the lock file has it.
fn version() -> &'static str {
    include_str!("../Cargo.lock")
        .split_once("name = \"foca\"\nversion = \"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("unknown")
}
