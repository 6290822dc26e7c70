//! The only way back from a JID to a legacy name. Owned by the session, kept by the store. XEP-0106, design of identity.
//!
//! [`crate::jid`] maps names to localparts and back and loses something on the way. The table remembers what that
//! mapping would not give back: the spelling of a name (XMPP folds localparts), names whose localpart another name has
//! already, and names that no localpart can spell; the last two get a suffix made from the name, so that it is the same
//! after a restart, and are saved.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use jid::{Jid, NodePart};

use crate::backend::BackendInfo;
use crate::jid as text;
use crate::model::{CaseMapping, LegacyName};
use crate::session::fingerprint::fingerprint;
use crate::session::{Output, StoreRequest, StoredName};

/// Entries of a table. Beyond them spellings are forgotten first: a forgotten name is only small where it was capital.
/// If none are left, an arbitrary entry goes, and its name gets the same suffix when it is met again.
const MAX_NAMES: usize = 65_536;

/// Bytes of a name that stay in front of a suffix.
const MAX_STEM_BYTES: usize = 96;

/// Attempts to find a suffix that nobody has.
const SUFFIX_ROUNDS: u64 = 8;

/// Which localpart stands for which legacy name, in one session.
#[derive(Debug, Default)]
pub struct NameTable {
    entries: HashMap<Box<str>, Entry>,
    /// Fingerprints of the localparts given to names that the pure mapping gives back exactly.
    plain: HashSet<u64>,
    /// Folded name -> localpart, for names that have several spellings in localparts (RFC 1459's brackets).
    spellings: HashMap<Box<str>, Box<str>>,
    mapping: CaseMapping,
    escaping: bool,
    /// Overrules what the network says of escaping.
    forced: Option<bool>,
    /// Who spoke last and at which address: most often the one that speaks next. Forgotten with every change here.
    spoke: Option<Box<(LegacyName, Jid)>>,
}

#[derive(Debug)]
struct Entry {
    name: LegacyName,
    /// The pure mapping would give back another name: the store has it too.
    saved: bool,
}

impl NameTable {
    /// Escapes names or not, whatever the network says (`jid_escaping` of the configuration).
    pub fn force_escaping(&mut self, escaping: Option<bool>) {
        self.spoke = None;
        self.forced = escaping;
        self.escaping = escaping.unwrap_or(self.escaping);
    }

    /// An empty table for this network.
    pub fn new(info: &BackendInfo) -> Self {
        Self {
            mapping: info.case_mapping,
            escaping: info.jid_escaping,
            ..Self::default()
        }
    }

    /// The network is this one now. Names that have a localpart keep it.
    pub fn set_network(&mut self, info: &BackendInfo) {
        self.spoke = None;
        self.mapping = info.case_mapping;
        self.escaping = self.forced.unwrap_or(info.jid_escaping);
    }

    /// Takes over what the store has kept. Localparts that are none are left out.
    pub fn load(&mut self, stored: Vec<StoredName>) {
        self.spoke = None;
        for StoredName { localpart, name } in stored.into_iter().take(MAX_NAMES) {
            if prepared(&localpart).is_some_and(|node| node.as_str() == localpart) {
                self.entries.insert(localpart.into_boxed_str(), Entry { name, saved: true });
            }
        }
    }

    /// When two names are one.
    pub fn mapping(&self) -> CaseMapping {
        self.mapping
    }

    /// Whether the network takes the two for one name.
    pub fn same(&self, one: &str, other: &str) -> bool {
        text::same(one, other, self.mapping)
    }

    /// The localpart of a name: always the same one for the same name. Appends the request to save it where the pure
    /// mapping would not lead back.
    pub fn node_of(&mut self, name: &LegacyName, out: &mut Vec<Output>) -> NodePart {
        let spelled = self
            .has_spellings(name.as_str())
            .then(|| text::fold(name.as_str(), self.mapping).into_owned());
        let known = spelled.as_deref().and_then(|folded| self.spellings.get(folded));
        if let Some(node) = known.and_then(|node| prepared(node)) {
            return node;
        }
        let node = self.find_or_give(name, out);
        if let Some(folded) = spelled.filter(|_| self.spellings.len() < MAX_NAMES) {
            self.spellings.insert(folded.into_boxed_str(), node.as_str().into());
        }
        node
    }

    /// The address at which a name speaks: what `address` makes of its localpart.
    pub(crate) fn speaker(&mut self, name: &LegacyName, out: &mut Vec<Output>, address: impl FnOnce(&NodePart) -> Jid) -> Jid {
        if let Some(spoke) = self.spoke.as_deref().filter(|(known, _)| known == name) {
            return spoke.1.clone();
        }
        let address = address(&self.node_of(name, out));
        self.spoke = Some(Box::new((name.clone(), address.clone())));
        address
    }

    /// The name a localpart stands for, in its spelling where that is known.
    pub fn name_of(&self, node: &NodePart) -> LegacyName {
        match self.entries.get(node.as_str()) {
            Some(entry) => entry.name.clone(),
            None => LegacyName::new(text::legacy_name(node.as_str())),
        }
    }

    fn find_or_give(&mut self, name: &LegacyName, out: &mut Vec<Output>) -> NodePart {
        let candidate = self.candidate(name.as_str());
        if let Some((node, derivable)) = &candidate {
            match self.entries.get(node.as_str()) {
                Some(entry) if self.same(entry.name.as_str(), name.as_str()) => return node.clone(),
                None if *derivable => {
                    let node = node.clone();
                    self.note_derivable(&node, name);
                    return node;
                }
                Some(_) | None => {}
            }
        }
        let suffixed = self.suffixed(name.as_str(), candidate.as_ref().map(|(node, _)| node));
        if self.entries.contains_key(suffixed.as_str()) {
            return suffixed;
        }
        let node = match candidate {
            Some((node, _)) if self.is_free(&node) => node,
            Some(_) | None => suffixed,
        };
        self.insert(
            node.as_str(),
            Entry {
                name: name.clone(),
                saved: true,
            },
        );
        out.push(Output::Store(StoreRequest::SaveName(StoredName {
            localpart: node.as_str().to_owned(),
            name: name.clone(),
        })));
        node
    }

    /// The localpart that the pure mapping gives the name, if it is one, and whether it leads back.
    fn candidate(&self, name: &str) -> Option<(NodePart, bool)> {
        let name = self.small(name);
        let mut first = None;
        for escaping in [self.escaping, true] {
            if let Some(node) = prepared(&text::localpart(&name, escaping)) {
                if self.same(&text::legacy_name(node.as_str()), &name) {
                    return Some((node, true));
                }
                first.get_or_insert(node);
            }
        }
        first.map(|node| (node, false))
    }

    /// The name so folded that all its spellings have one localpart, yet RFC 1459's brackets stay what they are.
    fn small<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.mapping {
            CaseMapping::Rfc1459 => text::fold(name, CaseMapping::Ascii),
            CaseMapping::Ascii | CaseMapping::Unicode | CaseMapping::Sensitive => text::fold(name, self.mapping),
        }
    }

    fn has_spellings(&self, name: &str) -> bool {
        self.mapping == CaseMapping::Rfc1459 && name.bytes().any(|b| matches!(b, b'['..=b'^' | b'{'..=b'~'))
    }

    fn is_free(&self, node: &NodePart) -> bool {
        self.plain.len() < MAX_NAMES
            && !self.entries.contains_key(node.as_str())
            && !self.plain.contains(&fingerprint(node.as_str(), 0))
    }

    /// Remembers that a localpart is taken, and the name's spelling if the localpart does not show it.
    fn note_derivable(&mut self, node: &NodePart, name: &LegacyName) {
        if *text::legacy_name(node.as_str()) == *name.as_str() {
            if self.plain.len() < MAX_NAMES {
                self.plain.insert(fingerprint(node.as_str(), 0));
            }
        } else if self.entries.len() < MAX_NAMES {
            self.spoke = None;
            self.entries.insert(
                node.as_str().into(),
                Entry {
                    name: name.clone(),
                    saved: false,
                },
            );
        }
    }

    fn insert(&mut self, node: &str, entry: Entry) {
        self.spoke = None;
        if self.entries.len() >= MAX_NAMES {
            self.entries.retain(|_, entry| entry.saved);
            let any = self.entries.keys().next().cloned();
            if let Some(key) = any.filter(|_| self.entries.len() >= MAX_NAMES) {
                self.entries.remove(&key);
            }
        }
        self.entries.insert(node.into(), entry);
    }

    /// What is left of the name with a suffix made from it: the one the name has already, else one that nobody has.
    fn suffixed(&self, name: &str, candidate: Option<&NodePart>) -> NodePart {
        let folded = text::fold(name, self.mapping);
        let stem = stem(candidate.map_or(name, |node| node.as_str()), candidate.is_some());
        let mut node = with_suffix(&stem, fingerprint(&folded, 1));
        for round in 2..=SUFFIX_ROUNDS {
            match self.entries.get(node.as_str()) {
                Some(entry) if !self.same(entry.name.as_str(), name) => node = with_suffix(&stem, fingerprint(&folded, round)),
                Some(_) | None => break,
            }
        }
        node
    }
}

/// A localpart that stays what it is when it is prepared again, as the one in an answer will be.
fn prepared(localpart: &str) -> Option<NodePart> {
    if localpart.len() > text::MAX_LOCALPART_BYTES {
        return None;
    }
    match NodePart::new(localpart).ok()? {
        Cow::Borrowed(node) => Some(node.to_owned()),
        Cow::Owned(node) => NodePart::new(node.as_str())
            .is_ok_and(|again| again.as_str() == node.as_str())
            .then_some(node),
    }
}

/// What of a name can stand in front of a suffix.
fn stem(name: &str, valid: bool) -> String {
    let mut stem = String::new();
    for c in name.chars() {
        let fits = if valid {
            c != '\\'
        } else {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '#')
        };
        if fits {
            if stem.len() + c.len_utf8() > MAX_STEM_BYTES {
                break;
            }
            stem.push(c.to_ascii_lowercase());
        }
    }
    stem
}

fn with_suffix(stem: &str, fingerprint: u64) -> NodePart {
    let suffix = base32(fingerprint);
    prepared(&format!("{stem}~{suffix}")).unwrap_or_else(|| {
        let plain = format!("~{suffix}");
        NodePart::new(&plain).map_or_else(|_| unreachable!("small ASCII letters make a localpart"), Cow::into_owned)
    })
}

/// Eight letters and digits of a number, none that XMPP would change.
fn base32(mut number: u64) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..8)
        .map(|_| {
            let digit = DIGITS[(number & 31) as usize];
            number >>= 5;
            char::from(digit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn table(mapping: CaseMapping, escaping: bool) -> NameTable {
        NameTable {
            mapping,
            escaping,
            ..NameTable::default()
        }
    }

    fn saved(out: &[Output]) -> Vec<StoredName> {
        out.iter()
            .map(|o| match o {
                Output::Store(StoreRequest::SaveName(name)) => name.clone(),
                other => panic!("{other:?} does not save a name"),
            })
            .collect()
    }

    #[test]
    fn who_spoke_last_speaks_at_the_address_that_holds_now() {
        let mut table = table(CaseMapping::Ascii, false);
        let spoken = |table: &mut NameTable, name: &str| {
            let address = |node: &NodePart| Jid::new(&format!("{node}@net.example")).unwrap();
            table.speaker(&LegacyName::new(name), &mut Vec::new(), address).to_string()
        };
        for _ in 0..2 {
            assert_eq!(spoken(&mut table, "a@b"), "a%b@net.example");
            assert_eq!(spoken(&mut table, "c@d"), "c%d@net.example");
        }
        table.force_escaping(Some(true));
        assert_eq!(spoken(&mut table, "c@d"), "c\\40d@net.example");
    }

    #[test]
    fn the_golden_vectors_hold() {
        let mut count = 0;
        for line in include_str!("../../tests/golden/names.txt").lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [rule, from, to] = fields[..] else { continue };
            let words: Vec<&str> = rule.split('-').collect();
            let [what @ ("node" | "back"), form, mapping] = words[..] else {
                continue;
            };
            let mapping = match mapping {
                "ascii" => CaseMapping::Ascii,
                "rfc1459" => CaseMapping::Rfc1459,
                "unicode" => CaseMapping::Unicode,
                "sensitive" => CaseMapping::Sensitive,
                other => panic!("no case mapping is called {other}"),
            };
            let mut table = table(mapping, form == "escaped");
            let node = table.node_of(&from.into(), &mut Vec::new());
            let got = if what == "node" {
                node.as_str().to_owned()
            } else {
                table.name_of(&node).as_str().to_owned()
            };
            assert_eq!(got, to, "{line}");
            count += 1;
        }
        assert!(count > 15, "only {count} vectors were read");
    }

    #[test]
    fn the_configuration_overrules_the_network() {
        let mut names = table(CaseMapping::Unicode, true);
        names.force_escaping(Some(false));
        names.set_network(&BackendInfo::new("Net", "net"));
        assert_eq!(names.node_of(&"a@b".into(), &mut Vec::new()).as_str(), "a%b");
    }

    #[test]
    fn a_name_that_leads_back_is_not_saved() {
        let mut names = table(CaseMapping::Unicode, true);
        let mut out = Vec::new();
        let node = names.node_of(&"Frank@Example".into(), &mut out);
        assert_eq!(node.as_str(), "frank\\40example");
        assert_eq!(names.name_of(&node).as_str(), "Frank@Example");
        assert!(out.is_empty());
    }

    #[test]
    fn two_names_with_one_localpart_get_two_and_keep_them_after_a_restart() {
        let mut names = table(CaseMapping::Sensitive, true);
        let mut out = Vec::new();
        let small = names.node_of(&"frank".into(), &mut out);
        assert!(out.is_empty());
        let big = names.node_of(&"Frank".into(), &mut out);
        assert_eq!(small.as_str(), "frank");
        assert!(big.as_str().starts_with("frank~"), "{big}");
        let kept = saved(&out);
        assert_eq!(
            kept,
            [StoredName {
                localpart: big.as_str().to_owned(),
                name: "Frank".into()
            }]
        );

        let mut again = table(CaseMapping::Sensitive, true);
        again.load(kept);
        out.clear();
        assert_eq!(again.node_of(&"Frank".into(), &mut out), big);
        assert_eq!(again.node_of(&"frank".into(), &mut out), small);
        assert_eq!(again.name_of(&big).as_str(), "Frank");
        assert!(out.is_empty(), "{out:?}");
    }

    #[test]
    fn brackets_and_braces_are_one_name_under_rfc_1459() {
        let mut names = table(CaseMapping::Rfc1459, false);
        let one = names.node_of(&"[Bot]".into(), &mut Vec::new());
        assert_eq!(names.node_of(&"{bot}".into(), &mut Vec::new()), one);
        assert_eq!(one.as_str(), "[bot]");
    }

    #[test]
    fn a_name_that_no_localpart_can_spell_gets_one_that_leads_back() {
        let long = "x".repeat(3000);
        for name in ["", " ", " a", "\u{1}", "💩", &long] {
            let mut names = table(CaseMapping::Unicode, true);
            let mut out = Vec::new();
            let node = names.node_of(&name.into(), &mut out);
            assert_eq!(names.name_of(&node).as_str(), name);
            assert_eq!(saved(&out).len(), 1);
            assert!(node.as_str().len() < 128);
        }
    }

    #[test]
    fn a_full_table_still_gives_every_name_a_way_back() {
        let mut names = table(CaseMapping::Unicode, true);
        for i in 0..MAX_NAMES + 10 {
            names.node_of(&format!("Name{i}").into(), &mut Vec::new());
        }
        assert_eq!(names.entries.len(), MAX_NAMES);
        let node = names.node_of(&"💩".into(), &mut Vec::new());
        assert_eq!(names.name_of(&node).as_str(), "💩");
        assert!(names.entries.len() <= MAX_NAMES);
    }

    proptest! {
        #[test]
        fn every_name_comes_back_and_no_two_share_a_localpart(
            list in proptest::collection::vec("[aA%@ \\\\/4ß0ſK\u{212a}\\[{]{0,4}|\\PC{0,6}", 1..12),
            mapping in proptest::sample::select(vec![CaseMapping::Ascii, CaseMapping::Rfc1459, CaseMapping::Unicode, CaseMapping::Sensitive]),
            escaping: bool,
        ) {
            let mut names = table(mapping, escaping);
            let mut out = Vec::new();
            let nodes: Vec<_> = list.iter().map(|n| names.node_of(&n.as_str().into(), &mut out)).collect();
            for (name, node) in list.iter().zip(&nodes) {
                prop_assert_eq!(&names.node_of(&name.as_str().into(), &mut out), node, "stable");
                let back = names.name_of(node);
                prop_assert!(names.same(back.as_str(), name), "{} -> {} -> {}", name, node, back);
                let again = NodePart::new(node.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), node.as_str());
            }
            for (a, node_a) in list.iter().zip(&nodes) {
                for (b, node_b) in list.iter().zip(&nodes) {
                    prop_assert_eq!(names.same(a, b), node_a == node_b, "{} {}", a, b);
                }
            }
            let mut again = table(mapping, escaping);
            again.load(saved(&out));
            for (name, node) in list.iter().zip(&nodes) {
                prop_assert!(again.same(again.name_of(node).as_str(), name));
            }
        }

        #[test]
        fn any_localpart_has_a_name(localpart in "\\PC{1,12}") {
            if let Ok(node) = NodePart::new(&localpart) {
                let node = node.into_owned();
                let mut names = table(CaseMapping::Unicode, true);
                let name = names.name_of(&node);
                let _ = names.node_of(&name, &mut Vec::new());
            }
        }
    }
}
