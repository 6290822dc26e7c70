//! The keeper between sessions and a server that answers as an account with PEP would.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use spectrum_core::config::Config;
use spectrum_core::stanza::Stanza;
use spectrum_core::store::MemoryStore;
use tokio::time::timeout;
use xmpp_parsers::iq::Iq;

use super::*;
use crate::face::tests::Nowhere;
use crate::link::Outbox;
use crate::naming::Naming;
use crate::privilege::{Access, Grants};
use crate::roster::RosterKeeper;

/// Romeo's account, whose server grants everything or nothing.
struct Scene {
    keeper: Arc<RosterKeeper>,
    deputy: Arc<Deputy>,
    accounts: Arc<AccountKeeper>,
    outbox: Arc<Outbox>,
    store: Arc<MemoryStore>,
    /// The items of each node; a node that was never made has none.
    nodes: BTreeMap<String, BTreeMap<String, Element>>,
}

fn user() -> UserKey {
    UserKey::from("romeo@localhost")
}

fn room(name: &str) -> BareJid {
    BareJid::new(&format!("{name}@irc.localhost")).unwrap()
}

fn bookmark(name: &str) -> Bookmark {
    Bookmark {
        room: room(name),
        name: Some(name.to_uppercase()),
        nickname: None,
    }
}

impl Scene {
    fn new(bookmarking: Bookmarking) -> Self {
        let config = Config::from_toml(
            "mode = \"gateway\"\njid = \"irc.localhost\"\n[gateway]\nsecret = \"s\"\n[backend]\ncommand = [\"x\"]\n[registration]\nallow = [\"localhost\"]\n",
        )
        .unwrap();
        let config = Arc::new(config);
        let (transport, outbox) = (config.jid.clone(), Arc::new(Outbox::new()));
        outbox.set_up(true);
        let store = Arc::new(MemoryStore::new());
        let naming = Naming::new(config, Arc::new(Nowhere));
        let kept: Arc<dyn Store> = Arc::clone(&store) as _;
        let keeper = Arc::new(RosterKeeper::new(
            transport.clone(),
            naming,
            Arc::clone(&outbox),
            Arc::clone(&kept),
        ));
        let deputy = Arc::new(Deputy::new(transport.clone(), Arc::clone(&outbox), Arc::clone(&keeper)));
        let accounts = AccountKeeper::new(AccountParts {
            transport,
            bookmarking,
            deputy: Arc::clone(&deputy),
            outbox: Arc::clone(&outbox),
            store: kept,
            tasks: Tasks::new(),
        });
        Self {
            keeper,
            deputy,
            accounts,
            outbox,
            store,
            nodes: BTreeMap::new(),
        }
    }

    fn grant(&self) {
        let grants = Grants {
            requests: [(ns::PUBSUB.to_owned(), Access::Both)].into(),
            ..Grants::default()
        };
        self.keeper.granted("localhost", grants);
        self.accounts.again(Some("localhost"));
    }

    fn says(&self, bookmarks: Bookmarks) {
        self.accounts.publish(&user(), Publication::Bookmarks(bookmarks));
    }

    /// Answers until nothing more is asked, and gives what was: the first word inside each request.
    async fn serve(&mut self) -> Vec<String> {
        self.serve_some(usize::MAX).await
    }

    /// The same for so many requests.
    async fn serve_some(&mut self, most: usize) -> Vec<String> {
        let mut asked = Vec::new();
        while asked.len() < most {
            let mut batch = Vec::new();
            let wait = timeout(Duration::from_secs(1), self.outbox.work(&mut batch, 1));
            if wait.await.is_err() {
                return asked;
            }
            let iq = match batch.pop().unwrap() {
                Stanza::Iq(iq) => iq,
                Stanza::Message(invitation) => {
                    let direct = invitation.payloads.last().unwrap();
                    asked.push(format!("invited to {}", direct.attr("jid").unwrap()));
                    continue;
                }
                Stanza::Presence(_) => panic!("no presence is asked for"),
            };
            let id = iq.id().to_owned();
            let outer = Element::from(iq);
            let inner = outer.children().next().unwrap().children().next().unwrap();
            let action = inner.children().next().unwrap().children().next().unwrap().clone();
            asked.push(action.name().to_owned());
            let answer = match self.perform(&action) {
                Ok(answer) => format!("<iq xmlns='jabber:client' type='result' id='{id}'>{answer}</iq>"),
                Err(()) => format!(
                    "<iq xmlns='jabber:client' type='error' id='{id}'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
                ),
            };
            let xml = format!(
                "<iq xmlns='jabber:client' type='result' from='romeo@localhost' to='irc.localhost' id='{id}'>\
                 <privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>{answer}</forwarded></privilege></iq>"
            );
            let answer = Iq::try_from(xml.parse::<Element>().unwrap()).unwrap();
            assert!(self.deputy.answered(answer).is_none());
        }
        asked
    }

    fn perform(&mut self, action: &Element) -> Result<String, ()> {
        let node = action.attr("node").unwrap().to_owned();
        match action.name() {
            "items" => {
                let items = self.nodes.get(&node).ok_or(())?;
                let items: String = items.values().map(String::from).collect();
                Ok(format!(
                    "<pubsub xmlns='{}'><items node='{node}'>{items}</items></pubsub>",
                    ns::PUBSUB
                ))
            }
            "create" if self.nodes.contains_key(&node) => Err(()),
            "create" => {
                self.nodes.insert(node, BTreeMap::new());
                Ok(String::new())
            }
            "publish" => {
                let item = action.children().next().unwrap();
                let id = item.attr("id").unwrap().to_owned();
                self.nodes.entry(node).or_default().insert(id, item.clone());
                Ok(String::new())
            }
            "retract" => {
                let id = action.children().next().unwrap().attr("id").unwrap();
                self.nodes.get_mut(&node).and_then(|items| items.remove(id)).ok_or(())?;
                Ok(String::new())
            }
            other => panic!("{other}"),
        }
    }

    fn bookmarks(&self) -> Vec<String> {
        let node = self.nodes.get(bookmarks::NODE);
        node.into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn rooms_come_into_bookmarks_and_go_with_the_network() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("b")]));
    assert_eq!(scene.serve().await, ["items", "create", "publish", "publish"]);
    assert_eq!(scene.bookmarks(), ["a@irc.localhost", "b@irc.localhost"]);
    let item = String::from(&scene.nodes[bookmarks::NODE]["a@irc.localhost"]);
    assert!(
        item.contains("autojoin=\"true\"") || item.contains("autojoin='true'"),
        "{item}"
    );
    // The same again, as after each login: nothing to do.
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("b")]));
    assert_eq!(scene.serve().await, ["items"]);
    scene.says(Bookmarks::Added(bookmark("c")));
    scene.says(Bookmarks::Removed(room("b")));
    assert_eq!(scene.serve().await, ["items", "retract", "publish"]);
    assert_eq!(scene.bookmarks(), ["a@irc.localhost", "c@irc.localhost"]);
    scene.says(Bookmarks::All(Vec::new()));
    assert_eq!(scene.serve().await, ["items", "retract", "retract"]);
    assert!(scene.bookmarks().is_empty() && scene.store.load_bookmarks(&user()).await.unwrap().is_empty());
    scene.says(Bookmarks::All(Vec::new()));
    assert!(scene.serve().await.is_empty(), "who never had rooms is not asked about");
    assert!(scene.accounts.books().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_out_by_hand_stays_out() {
    let mut scene = Scene::new(Bookmarking::List);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    scene.serve().await;
    let item = scene
        .nodes
        .get_mut(bookmarks::NODE)
        .unwrap()
        .remove("a@irc.localhost")
        .unwrap();
    assert!(!String::from(&item).contains("autojoin"));
    for _ in 0..2 {
        scene.says(Bookmarks::All(vec![bookmark("a")]));
        assert_eq!(scene.serve().await, ["items"]);
    }
    scene.says(Bookmarks::Removed(room("a")));
    scene.says(Bookmarks::All(vec![bookmark("b")]));
    scene.serve().await;
    scene.says(Bookmarks::Added(bookmark("a")));
    scene.serve().await;
    assert_eq!(scene.bookmarks(), ["a@irc.localhost", "b@irc.localhost"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_grant_it_waits_as_long_as_the_session_lives() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    assert!(scene.serve().await.is_empty());
    assert_eq!(scene.deputy.lacking().len(), 1);
    scene.says(Bookmarks::Added(bookmark("b")));
    scene.grant();
    tokio::time::sleep(GRANT_WAIT).await;
    assert_eq!(scene.serve().await, ["items", "create", "publish", "publish"]);
    assert!(scene.deputy.lacking().is_empty());

    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    assert!(scene.serve().await.is_empty());
    scene.accounts.closed(&user());
    tokio::time::sleep(GRANT_WAIT).await;
    assert!(scene.serve().await.is_empty());
    assert!(scene.accounts.books().is_empty());
    scene.grant();
    assert!(scene.serve().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_given_bookmarks_is_invited_once_to_each_room() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("b")]));
    tokio::time::sleep(GRANT_WAIT).await;
    let invited = |name: &str| format!("invited to {name}@irc.localhost");
    assert_eq!(scene.serve().await, [invited("a"), invited("b")]);
    // The next login, with a room more and one less.
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("c")]));
    tokio::time::sleep(GRANT_WAIT).await;
    assert_eq!(scene.serve().await, [invited("c")]);
    scene.says(Bookmarks::Added(bookmark("b")));
    tokio::time::sleep(GRANT_WAIT).await;
    assert_eq!(scene.serve().await, [invited("b")]);
    let many = (0..2 * MOST_INVITED).map(|n| bookmark(&format!("r{n}"))).collect();
    scene.says(Bookmarks::All(many));
    tokio::time::sleep(GRANT_WAIT).await;
    assert_eq!(scene.serve().await.len(), MOST_INVITED);
    // With a grant they come into the bookmarks all the same.
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    scene.grant();
    tokio::time::sleep(GRANT_WAIT).await;
    scene.serve().await;
    assert_eq!(scene.bookmarks(), ["a@irc.localhost"]);

    let mut scene = Scene::new(Bookmarking::List);
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    tokio::time::sleep(GRANT_WAIT).await;
    assert!(scene.serve().await.is_empty(), "a list asks for nobody's attention");
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_made_up_for_when_it_is_back() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.grant();
    scene.outbox.set_up(false);
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    assert!(scene.serve().await.is_empty());
    scene.says(Bookmarks::Removed(room("a")));
    scene.says(Bookmarks::Added(bookmark("b")));
    assert!(scene.serve().await.is_empty());
    scene.outbox.set_up(true);
    scene.accounts.again(None);
    scene.serve().await;
    assert_eq!(scene.bookmarks(), ["b@irc.localhost"]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_keeps_no_bookmark_of_ours() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("b")]));
    scene.serve().await;
    let mine = bookmarks::Shape::default().item();
    let mut item = element("item", ns::PUBSUB, &[("id", "b@irc.localhost")]);
    item.append_child(mine);
    scene
        .nodes
        .get_mut(bookmarks::NODE)
        .unwrap()
        .insert("b@irc.localhost".to_owned(), item);
    let known = scene.accounts.known(&user()).await.unwrap();
    scene.store.remove_user(&user()).await.unwrap();
    scene.accounts.clean(&user(), known);
    scene.accounts.closed(&user());
    scene.serve().await;
    assert_eq!(scene.bookmarks(), ["b@irc.localhost"], "the one that the user changed stays");
    assert!(scene.store.load_bookmarks(&user()).await.unwrap().is_empty());
    assert!(scene.accounts.books().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_being_written_when_the_user_is_forgotten_goes_again() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a"), bookmark("b"), bookmark("c")]));
    assert_eq!(scene.serve_some(3).await, ["items", "create", "publish"]);
    let known = scene.accounts.known(&user()).await.unwrap();
    assert!(known.is_empty(), "nothing has been kept yet");
    scene.store.remove_user(&user()).await.unwrap();
    scene.accounts.clean(&user(), known);
    scene.accounts.closed(&user());
    scene.serve().await;
    assert_eq!(scene.bookmarks(), [""; 0]);
    assert!(scene.store.load_bookmarks(&user()).await.unwrap().is_empty());
    assert!(scene.accounts.books().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_failed_write_is_made_up_for() {
    let mut scene = Scene::new(Bookmarking::Autojoin);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    scene.serve().await;
    scene.says(Bookmarks::Added(bookmark("b")));
    tokio::task::yield_now().await;
    let known = scene.accounts.known(&user()).await.unwrap();
    scene.store.remove_user(&user()).await.unwrap();
    scene.accounts.clean(&user(), known);
    scene.accounts.closed(&user());
    // What was asked is lost with the link.
    let mut lost = Vec::new();
    scene.outbox.work(&mut lost, 8).await;
    assert_eq!(lost.len(), 1);
    scene.deputy.link_down();
    tokio::task::yield_now().await;
    scene.accounts.again(None);
    scene.serve().await;
    assert_eq!(scene.bookmarks(), [""; 0]);
    assert!(scene.accounts.books().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_touched_where_bookmarks_are_not_wanted() {
    let mut scene = Scene::new(Bookmarking::Never);
    scene.grant();
    scene.says(Bookmarks::All(vec![bookmark("a")]));
    assert!(scene.serve().await.is_empty());
    assert!(scene.accounts.books().is_empty());
}

#[tokio::test(start_paused = true)]
async fn how_far_a_room_has_been_read_is_published_once_for_many_marks() {
    let mut scene = Scene::new(Bookmarking::Never);
    for id in ["1", "2", "3"] {
        let displayed = Publication::Displayed {
            chat: room("a"),
            id: id.to_owned(),
            by: room("a"),
        };
        scene.accounts.publish(&user(), displayed);
    }
    assert!(scene.serve().await.is_empty());
    scene.grant();
    assert_eq!(scene.serve().await, ["publish"]);
    let expected = format!(
        "<item xmlns='{}' id='a@irc.localhost'><displayed xmlns='urn:xmpp:mds:displayed:0'>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='a@irc.localhost' id='3'/></displayed></item>",
        ns::PUBSUB
    );
    let item = &scene.nodes[displayed::NODE]["a@irc.localhost"];
    assert_eq!(*item, expected.parse::<Element>().unwrap());
}

#[test]
fn what_waits_is_bounded() {
    let mut wanted = Wanted::default();
    for n in 0..2 * MOST_WAITING {
        wanted.change(Bookmarks::Added(bookmark(&format!("r{n}"))));
        let by = room("a");
        wanted.read(room(&format!("r{n}")), Position { id: n.to_string(), by });
    }
    assert_eq!((wanted.rooms.len(), wanted.read.len()), (MOST_WAITING, MOST_WAITING));
    wanted.change(Bookmarks::All(
        (0..2 * MOST_WAITING).map(|n| bookmark(&format!("r{n}"))).collect(),
    ));
    assert_eq!(wanted.rooms.len(), MOST_WAITING);
}
