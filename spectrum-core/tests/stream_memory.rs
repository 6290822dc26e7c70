//! Memory of a stream under attack and at rest, counted by the allocator.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use spectrum_core::stream::{Content, Event, Limits, Reader, Side};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts are of the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn reader(content: Content) -> Reader {
    let (side, limits) = match content {
        Content::Client => (Side::Receiving, Limits::CLIENT),
        Content::Component => (Side::Initiating, Limits::COMPONENT),
    };
    let mut reader = Reader::new(content, side, limits);
    let header = format!(
        "<stream:stream xmlns='{}' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
        content.namespace()
    );
    assert!(matches!(reader.read(&mut header.as_bytes()), Some(Event::Opened(_))));
    reader
}

/// Feeds `unit` until `total` bytes are in or something happens; returns the event and the growth at its peak.
fn flood(reader: &mut Reader, unit: &[u8], total: usize) -> (Option<Event>, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut event = None;
    for _ in 0..total / unit.len() {
        event = reader.read(&mut &*unit);
        if event.is_some() {
            break;
        }
    }
    (event, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

#[test]
fn body_of_400_mib_passes_a_component_stream_in_bounded_memory() {
    let _alone = alone();
    let mut reader = reader(Content::Component);
    assert!(reader.read(&mut &b"<message from='a@b' to='c@d' id='1'><body>"[..]).is_none());
    let (event, peak) = flood(&mut reader, &[b'x'; 64 * KIB], 400 * MIB);
    assert!(event.is_none());
    assert!(peak < 3 * MIB, "{peak} bytes");
    assert!(matches!(reader.read(&mut &b"</body></message>"[..]), Some(Event::Invalid(_))));
    assert!(matches!(reader.read(&mut &b"<presence/>"[..]), Some(Event::Stanza(_))));
}

#[test]
fn body_of_400_mib_ends_a_client_stream_at_once() {
    let _alone = alone();
    let mut reader = reader(Content::Client);
    assert!(reader.read(&mut &b"<message><body>"[..]).is_none());
    let (event, peak) = flood(&mut reader, &[b'x'; 4 * KIB], 400 * MIB);
    assert!(matches!(event, Some(Event::Error(_))));
    assert!(peak < MIB, "{peak} bytes");
}

#[test]
fn attributes_and_small_elements_cost_a_bounded_multiple_of_their_bytes() {
    let _alone = alone();
    for (opening, unit) in [
        ("<message><body>", "<a/>"),
        ("<message><body>", "&lt;"),
        ("<message ", "a=''\n"),
        ("<message><body>", "<a>"),
    ] {
        for content in [Content::Component, Content::Client] {
            let mut reader = reader(content);
            assert!(reader.read(&mut opening.as_bytes()).is_none());
            let (_, peak) = flood(&mut reader, unit.repeat(1000).as_bytes(), 4 * MIB);
            assert!(peak < 24 * MIB, "{peak} bytes for {unit} on {content:?}");
        }
    }
}

#[test]
fn idle_reader_is_small() {
    let _alone = alone();
    let before = NOW.load(Ordering::Relaxed);
    let mut reader = Box::new(reader(Content::Client));
    let stanza = "<message to='a@b' id='1' type='chat'><body>hello</body><active xmlns='urn:x'/></message>";
    assert!(matches!(reader.read(&mut stanza.as_bytes()), Some(Event::Stanza(_))));
    reader.release_temporaries();
    let size = NOW.load(Ordering::Relaxed) - before;
    assert!(size < 2 * KIB, "{size} bytes");
}
