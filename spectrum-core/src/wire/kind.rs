//! The types of frames. Up to 36 they are Spectrum 2's.

pub(super) const CONNECTED: i32 = 1;
pub(super) const DISCONNECTED: i32 = 2;
pub(super) const LOGIN: i32 = 3;
pub(super) const LOGOUT: i32 = 4;
pub(super) const BUDDY_CHANGED: i32 = 6;
pub(super) const BUDDY_REMOVED: i32 = 7;
pub(super) const CONV_MESSAGE: i32 = 8;
pub(super) const PING: i32 = 9;
pub(super) const PONG: i32 = 10;
pub(super) const JOIN_ROOM: i32 = 11;
pub(super) const LEAVE_ROOM: i32 = 12;
pub(super) const PARTICIPANT_CHANGED: i32 = 13;
pub(super) const ROOM_NICKNAME_CHANGED: i32 = 14;
pub(super) const ROOM_SUBJECT_CHANGED: i32 = 15;
pub(super) const VCARD: i32 = 16;
pub(super) const STATUS_CHANGED: i32 = 17;
pub(super) const BUDDY_TYPING: i32 = 18;
pub(super) const BUDDY_STOPPED_TYPING: i32 = 19;
pub(super) const BUDDY_TYPED: i32 = 20;
pub(super) const AUTH_REQUEST: i32 = 21;
pub(super) const ATTENTION: i32 = 22;
pub(super) const STATS: i32 = 23;
pub(super) const EXIT: i32 = 29;
pub(super) const BACKEND_CONFIG: i32 = 30;
pub(super) const QUERY: i32 = 31;
pub(super) const ROOM_LIST: i32 = 32;
pub(super) const CONV_MESSAGE_ACK: i32 = 33;
pub(super) const RAW_XML: i32 = 34;
pub(super) const BUDDIES: i32 = 35;
/// In the native dialect the greeting of both sides.
pub(super) const API_VERSION: i32 = 36;

// Ours.
pub(super) const INFO: i32 = 101;
pub(super) const REFUSED: i32 = 102;
pub(super) const REQUEST: i32 = 103;
pub(super) const OUTCOME: i32 = 104;
pub(super) const EVENT: i32 = 105;
pub(super) const CREDIT: i32 = 106;
pub(super) const COMMITTED: i32 = 107;
pub(super) const PROMPT: i32 = 108;
pub(super) const PROMPT_ANSWER: i32 = 109;
pub(super) const LOGGED_OUT: i32 = 110;
