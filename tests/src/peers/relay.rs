//! A relay between a client and its server on loopback, whose connections a test can cut as a network does: without a word.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Outcome;

/// A running relay. Its connections end with it.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    /// Listens on a port of 127.0.0.1 that the system chooses, and hands what comes to `to` there.
    ///
    /// # Errors
    /// What the network says.
    pub async fn start(to: u16) -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (kept, counter) = (Arc::clone(&connections), Arc::clone(&accepted));
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let connection = tokio::spawn(relay(near, to));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
        });
        Ok(Self {
            port,
            accepting,
            connections,
            accepted,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Cuts all connections there are. New ones are taken.
    pub fn cut(&self) {
        let connections = std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in connections {
            connection.abort();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(mut near: TcpStream, to: u16) {
    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", to)).await {
        // However it ends, both sides see it.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
