//! Who is at the other end of a loopback connection: a process of the session that was made for one child, or a stranger.
//!
//! In Spectrum 2 any local process could pose as a backend and collect passwords. Here the socket's inode (from the kernel,
//! by `sock_diag`) must be open in a process of the child's session (`/proc`). Where that cannot be read, the uid must match.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use rustix::process::getuid;

/// Who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// A process of the child's session.
    Child,
    /// Whose process it is could not be read, but the uid is right.
    SameUser,
    /// Somebody else.
    Stranger,
}

/// Says who has connected. Reads `/proc`, so it may block for milliseconds.
///
/// `session` is the id of the child, which leads it.
///
/// # Errors
/// If the kernel does not say whose socket it is; nobody can be let in then.
pub(crate) fn identify(peer: SocketAddrV4, local: SocketAddrV4, session: u32) -> io::Result<Peer> {
    let Some(owner) = owner(peer, local)? else {
        return Ok(Peer::Stranger);
    };
    let link = format!("socket:[{}]", owner.inode);
    let looks = processes_of(session)?.into_iter().map(|pid| Look {
        uid: fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid()),
        open: has_open(pid, &link),
    });
    Ok(judge(owner, getuid().as_raw(), looks))
}

/// What was seen of one process of the session.
struct Look {
    uid: Option<u32>,
    /// Whether it has the socket open.
    open: io::Result<bool>,
}

fn judge(owner: Owner, own_uid: u32, looks: impl Iterator<Item = Look>) -> Peer {
    let mut unreadable = false;
    let mut known_uid = owner.uid == own_uid;
    for look in looks {
        known_uid |= look.uid == Some(owner.uid);
        match look.open {
            Ok(true) => return Peer::Child,
            Ok(false) => {}
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => unreadable = true,
        }
    }
    if unreadable && known_uid {
        Peer::SameUser
    } else {
        Peer::Stranger
    }
}

/// The processes of a session.
fn processes_of(session: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| session_of(&stat))
            == Some(session)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The session in a line of `/proc/PID/stat`: the fourth field behind the name, which may hold anything.
fn session_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(3)?.parse().ok()
}

fn has_open(pid: u32, link: &str) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        if fs::read_link(entry?.path()).is_ok_and(|target| target.as_os_str() == link) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
    uid: u32,
    inode: u32,
}

// The kernel's structures (linux/netlink.h, linux/inet_diag.h): numbers of the machine's byte order but for ports and
// addresses, which are big-endian.
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const HEADER: usize = 16;
const REQUEST: usize = 72;
const UID_AT: usize = HEADER + 64;
const INODE_AT: usize = HEADER + 68;

/// Who owns the socket with the address `local` that is connected to `remote`; `None` if it is there no more.
fn owner(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<Owner>> {
    let diag = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    );
    match diag
        .map_err(io::Error::from)
        .and_then(|diag| ask(&diag, &question(local, remote)))
    {
        Ok(owner) => Ok(owner),
        // A sandbox may forbid netlink; the table says the same, only slower.
        Err(_) => Ok(look_up(&fs::read_to_string("/proc/net/tcp")?, local, remote)),
    }
}

/// The same from the text of `/proc/net/tcp`.
fn look_up(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<Owner> {
    let spell = |a: SocketAddrV4| format!("{:08X}:{:04X}", u32::from_ne_bytes(a.ip().octets()), a.port());
    let (local, remote) = (spell(local), spell(remote));
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let [_, from, to, _, _, _, _, uid, _, inode] = fields[..] else {
            return None;
        };
        let owner = Owner {
            uid: uid.parse().ok()?,
            inode: inode.parse().ok()?,
        };
        (from == local && to == remote && owner.inode != 0).then_some(owner)
    })
}

fn question(local: SocketAddrV4, remote: SocketAddrV4) -> [u8; REQUEST] {
    let mut message = [0; REQUEST];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        message[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&(REQUEST as u32).to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&NLM_F_REQUEST.to_ne_bytes());
    put(&[0; 8]);
    put(&[AF_INET, IPPROTO_TCP, 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    put(&local.port().to_be_bytes());
    put(&remote.port().to_be_bytes());
    for address in [local, remote] {
        put(&address.ip().octets());
        put(&[0; 12]);
    }
    put(&[0; 4]);
    put(&[0xff; 8]);
    message
}

fn ask(diag: impl AsFd, question: &[u8]) -> io::Result<Option<Owner>> {
    send(&diag, question, SendFlags::empty())?;
    let mut answer = [0; 1_024];
    // The kernel answers within the call above, so this does not wait.
    let (received, _) = recv(&diag, &mut answer[..], RecvFlags::DONTWAIT)?;
    read(&answer[..received])
}

fn read(answer: &[u8]) -> io::Result<Option<Owner>> {
    let word = |at: usize| {
        let bytes = answer
            .get(at..at + 4)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok::<u32, io::Error>(u32::from_ne_bytes(bytes))
    };
    let kind = answer
        .get(4..6)
        .and_then(|b| <[u8; 2]>::try_from(b).ok())
        .map(u16::from_ne_bytes);
    if kind == Some(NLMSG_ERROR) {
        let error = io::Error::from_raw_os_error(word(HEADER)?.cast_signed().wrapping_neg());
        return if error.kind() == io::ErrorKind::NotFound {
            Ok(None)
        } else {
            Err(error)
        };
    }
    if kind != Some(SOCK_DIAG_BY_FAMILY) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let owner = Owner {
        uid: word(UID_AT)?,
        inode: word(INODE_AT)?,
    };
    // Inode 0: its process has closed it.
    Ok((owner.inode != 0).then_some(owner))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        let SocketAddr::V4(address) = address else {
            panic!("listens on IPv4")
        };
        address
    }

    #[test]
    fn own_socket_is_found_and_belongs_to_this_session_only() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let (peer, local) = (v4(peer), v4(accepted.local_addr().unwrap()));
        let own = session_of(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(identify(peer, local, own).unwrap(), Peer::Child);
        assert_eq!(
            identify(peer, local, 1).unwrap(),
            if own == 1 { Peer::Child } else { Peer::Stranger }
        );
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        assert_eq!(look_up(&table, peer, local), owner(peer, local).unwrap());
        drop(client);
        drop(accepted);
        assert_eq!(identify(peer, local, own).unwrap(), Peer::Stranger);
    }

    #[test]
    fn user_is_enough_only_where_a_process_of_the_session_cannot_be_read() {
        let owner = Owner { uid: 1_000, inode: 5 };
        let denied = |uid| Look {
            uid: Some(uid),
            open: Err(io::ErrorKind::PermissionDenied.into()),
        };
        let other = |uid| Look {
            uid: Some(uid),
            open: Ok(false),
        };
        let gone = || Look {
            uid: None,
            open: Err(io::ErrorKind::NotFound.into()),
        };
        assert_eq!(judge(owner, 1_000, [other(1_000), gone()].into_iter()), Peer::Stranger);
        assert_eq!(judge(owner, 1_000, [other(1_000), denied(0)].into_iter()), Peer::SameUser);
        assert_eq!(judge(owner, 0, [denied(1_000)].into_iter()), Peer::SameUser);
        assert_eq!(judge(owner, 0, [denied(0), other(33)].into_iter()), Peer::Stranger);
        let holder = Look {
            uid: Some(33),
            open: Ok(true),
        };
        assert_eq!(judge(owner, 0, [denied(0), holder].into_iter()), Peer::Child);
    }

    #[test]
    fn session_is_read_behind_any_name() {
        assert_eq!(session_of("12 (a) b) R 1) S 10 11 77 0 -1"), Some(77));
        assert_eq!(session_of("12 (cat) S 10 11"), None);
        assert_eq!(session_of(""), None);
    }

    #[test]
    fn answer_that_is_cut_or_strange_lets_nobody_in() {
        assert!(read(&[]).is_err());
        assert!(read(&[0; 20]).is_err());
        let mut short = [0; 60];
        short[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        assert!(read(&short).is_err());
    }
}
