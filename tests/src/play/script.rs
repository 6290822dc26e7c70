//! The text of a play, read into statements.

use crate::{Failure, Outcome};

/// A mode of the product, as plays see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A component of somebody's XMPP server.
    Gateway,
    /// An XMPP server of its own.
    Server,
}

impl Mode {
    /// As plays spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Server => "server",
        }
    }
}

/// What a person does; the table is in the documentation of [`play`](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the statements")]
pub enum Action {
    LogIn,
    Connect,
    LogOut,
    Send,
    Receive,
    ReceiveNothing,
    See,
    SeeInAnyOrder,
    Ignore,
}

const ACTIONS: [(&str, Action); 9] = [
    ("logs in", Action::LogIn),
    ("connects", Action::Connect),
    ("logs out", Action::LogOut),
    ("sends:", Action::Send),
    ("receives:", Action::Receive),
    ("receives nothing", Action::ReceiveNothing),
    ("sees:", Action::See),
    ("sees, in any order:", Action::SeeInAnyOrder),
    ("ignores:", Action::Ignore),
];

/// One statement of a play.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where it stands.
    pub line: usize,
    /// The only mode it is meant for.
    pub mode: Option<Mode>,
    /// Who.
    pub person: String,
    /// Does what.
    pub action: Action,
    /// With which stanzas, placeholders and all.
    pub stanzas: Vec<String>,
}

/// A whole play.
#[derive(Debug, PartialEq, Eq)]
pub struct Play {
    /// The behaviour, from the first line.
    pub title: String,
    /// What happens.
    pub statements: Vec<Statement>,
}

impl Play {
    /// Reads a play.
    ///
    /// # Errors
    /// If a line is no statement; names the line.
    pub fn read(text: &str) -> Outcome<Self> {
        let title = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .ok_or("line 1: the behaviour, after `# `")?;
        let mut statements: Vec<Statement> = Vec::new();
        // Lines of stanzas, until the next statement.
        let mut block = String::new();
        for (number, line) in text.lines().enumerate().skip(1).map(|(n, line)| (n + 1, line)) {
            let words = line.trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if line.starts_with(char::is_whitespace) {
                block.push_str(words);
                // Between attributes a line break counts as white space; between elements nobody looks.
                block.push('\n');
                continue;
            }
            finish(&mut statements, &mut block)?;
            statements.push(Statement::read(number, words)?);
        }
        finish(&mut statements, &mut block)?;
        Ok(Self {
            title: title.trim().to_owned(),
            statements,
        })
    }
}

impl Statement {
    fn read(line: usize, words: &str) -> Outcome<Self> {
        let (mode, words) = [Mode::Gateway, Mode::Server]
            .into_iter()
            .find_map(|mode| Some((Some(mode), words.strip_prefix(mode.name())?.strip_prefix(": ")?)))
            .unwrap_or((None, words));
        let (person, verb) = words.split_once(' ').unwrap_or((words, ""));
        let action = ACTIONS.iter().find(|(name, _)| *name == verb).map(|(_, action)| *action);
        let action = action.ok_or_else(|| Failure::new(format!("line {line}: nobody can do this: {words}")))?;
        Ok(Self {
            line,
            mode,
            person: person.to_owned(),
            action,
            stanzas: Vec::new(),
        })
    }
}

/// Gives the lines of stanzas to the statement before them.
fn finish(statements: &mut [Statement], block: &mut String) -> Outcome<()> {
    let block = std::mem::take(block);
    let Some(statement) = statements.last_mut() else {
        return if block.is_empty() {
            Ok(())
        } else {
            Err("stanzas before the first statement".into())
        };
    };
    let line = statement.line;
    let takes_stanzas = match statement.action {
        Action::Send | Action::Receive | Action::See | Action::SeeInAnyOrder | Action::Ignore => true,
        Action::LogIn | Action::Connect | Action::LogOut | Action::ReceiveNothing => false,
    };
    if takes_stanzas == block.is_empty() {
        return Err(Failure::new(format!(
            "line {line}: {}",
            if takes_stanzas { "no stanza below" } else { "takes no stanza" }
        )));
    }
    let mut splitter = crate::xmpp::Splitter::default();
    splitter.push(b"<play>");
    splitter.push(block.as_bytes());
    splitter.push(b"</play>");
    loop {
        match splitter.next().map_err(|e| e.while_doing(&format!("line {line}")))? {
            Some(crate::xmpp::Item::Open(_)) => {}
            Some(crate::xmpp::Item::Stanza(stanza)) => statement.stanzas.push(stanza),
            Some(crate::xmpp::Item::Close) => return Ok(()),
            None => return Err(Failure::new(format!("line {line}: a stanza is not closed"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn statements_have_their_stanzas_modes_and_lines() {
        let play = Play::read(
            "# An echo.\n\nromeo logs in\nserver: romeo/phone sends:\n    <iq\n      id='a'/>\n    # a remark\n    <iq><q/></iq>\n",
        )
        .unwrap();
        assert_eq!(play.title, "An echo.");
        assert_eq!(
            play.statements,
            [
                Statement {
                    line: 3,
                    mode: None,
                    person: "romeo".into(),
                    action: Action::LogIn,
                    stanzas: vec![]
                },
                Statement {
                    line: 4,
                    mode: Some(Mode::Server),
                    person: "romeo/phone".into(),
                    action: Action::Send,
                    stanzas: vec!["<iq\nid='a'/>".into(), "<iq><q/></iq>".into()],
                },
            ]
        );
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (text, error) in [
            ("romeo logs in", "line 1: the behaviour, after `# `"),
            ("# x\n  <iq/>", "stanzas before the first statement"),
            ("# x\nromeo dances", "line 2: nobody can do this: romeo dances"),
            ("# x\nromeo sends:\n\nromeo logs in", "line 2: no stanza below"),
            ("# x\nromeo logs in\n  <iq/>", "line 2: takes no stanza"),
            ("# x\nromeo sends:\n  <iq>", "line 2: a stanza is not closed"),
        ] {
            assert_eq!(Play::read(text).unwrap_err().to_string(), error);
        }
    }
}
