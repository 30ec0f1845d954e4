//! The door to containers: commands run in them, and what they have printed.
//!
//! In: a container and a command · Out: `Ended`, output as it comes · Touches: nothing (traits only)

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::cluster;

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// Namespace of its pod.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub name: String,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Code(i32),
}

/// Why a command has no end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not let it begin, or cannot be reached; 403 of an admission plug-in is [`Error::Denied`].
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// An admission policy or webhook does not allow commands here.
    #[error("admission denied it: {0}")]
    Denied(String),
    /// The pod has no container of this name.
    #[error("the pod has no container {0}")]
    NoContainer(String),
    /// The container does not run.
    #[error("the container does not run: {0}")]
    NotRunning(String),
    /// The container has no such program.
    #[error("the container has no program {0}")]
    NoProgram(String),
    /// The connection was lost before the command ended; it may still run.
    #[error("the connection was lost before the command ended: {0}")]
    Lost(String),
}

/// How many of the last bytes of each stream are kept.
pub const KEPT: usize = 16 * 1024;

/// How many of the last lines of a log are asked for.
pub const LINES: usize = 200;

/// How many of the first bytes of standard output are kept.
pub const FIRST: usize = 256;

/// What a command has printed so far. It grows while the command runs, and stays when that is given up.
#[derive(Debug, Default)]
pub struct Transcript {
    output: Mutex<Stream>,
    errors: Mutex<Stream>,
}

/// The beginning and the end of what was printed to one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The first bytes, at most [`FIRST`].
    pub first: Vec<u8>,
    /// The last bytes, at most [`KEPT`].
    pub last: Vec<u8>,
    /// How many bytes there were.
    pub bytes: u64,
}

impl Stream {
    /// Takes in what was printed.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = FIRST.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        let tail = &bytes[bytes.len().saturating_sub(KEPT)..];
        let surplus = (self.last.len() + tail.len()).saturating_sub(KEPT);
        self.last.drain(..surplus.min(self.last.len()));
        self.last.extend_from_slice(tail);
    }

    /// Whether something was printed that is not kept any more.
    pub fn is_cut(&self) -> bool {
        self.bytes > self.last.len() as u64
    }
}

impl Transcript {
    /// Takes in standard output.
    pub fn output(&self, bytes: &[u8]) {
        lock(&self.output).add(bytes);
    }

    /// Takes in standard error.
    pub fn errors(&self, bytes: &[u8]) {
        lock(&self.errors).add(bytes);
    }

    /// Standard output and standard error as they are now.
    pub fn seen(&self) -> (Stream, Stream) {
        (lock(&self.output).clone(), lock(&self.errors).clone())
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs commands in containers. Dropping a call closes its connection, which does not end the command.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs a command to its end, without standard input and terminal.
    async fn exec(
        &self,
        container: &Container,
        command: &[String],
        transcript: &Transcript,
    ) -> Result<Ended, Error>;

    /// The last bytes that a container has printed, at most [`KEPT`].
    async fn logs(&self, container: &Container) -> Result<Vec<u8>, cluster::Error>;
}

#[cfg(test)]
pub mod contract;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut stream = Stream::default();
        stream.add(b"first line\n");
        assert!(!stream.is_cut());
        for _ in 0..5 {
            stream.add(&[b'x'; 10_000]);
        }
        stream.add(b"the end");
        assert_eq!((stream.first.len(), stream.last.len(), stream.bytes), (FIRST, KEPT, 50_018));
        assert!(stream.first.starts_with(b"first line\n") && stream.last.ends_with(b"xxthe end"));
        assert!(stream.is_cut());
        stream.add(&vec![b'y'; 40_000]);
        assert_eq!(stream.last, [b'y'; KEPT]);
    }
}
