//! Pages of a longer answer (XEP-0059), as a request asks for them and as an answer tells them.

use minidom::Element;
use xmpp_parsers::ns::RSM;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use crate::stanza::error;
use crate::xml::{element, set, text_element};

/// Which page is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wanted {
    /// At most so many; 0 asks for nothing but the count.
    pub(crate) max: Option<u32>,
    /// Behind this one.
    pub(crate) after: Option<String>,
    /// Before this one; empty: the last page.
    pub(crate) before: Option<String>,
}

impl Wanted {
    /// What a request asks for; `None` if it asks for no page.
    ///
    /// # Errors
    /// For what is no page, or one by its number.
    pub(crate) fn of(request: &Element) -> Result<Option<Self>, StanzaError> {
        let Some(asked) = request.get_child("set", RSM) else {
            return Ok(None);
        };
        if asked.has_child("index", RSM) {
            let text = "Pages are not numbered.";
            return Err(error(DefinedCondition::FeatureNotImplemented, text));
        }
        let number = |max: &Element| {
            let number: Result<u32, _> = max.text().trim().parse();
            number.map_err(|_| error(DefinedCondition::BadRequest, "The maximum is no number."))
        };
        Ok(Some(Self {
            max: asked.get_child("max", RSM).map(number).transpose()?,
            after: asked.get_child("after", RSM).map(Element::text).filter(|id| !id.is_empty()),
            before: asked.get_child("before", RSM).map(Element::text),
        }))
    }

    /// The part of a whole list that this page is, and what the answer says of it. Each item is known by its id.
    ///
    /// # Errors
    /// If there is no item of the id it names.
    pub(crate) fn cut<'a, T>(&self, all: &'a [T], most: u32, id: impl Fn(&T) -> &str) -> Result<(&'a [T], Element), StanzaError> {
        let find = |wanted: &str| {
            let at = all.iter().position(|item| id(item) == wanted);
            at.ok_or_else(|| error(DefinedCondition::ItemNotFound, "The list has no such item."))
        };
        let most = self.max.unwrap_or(most).min(most) as usize;
        let mut start = match &self.after {
            Some(after) => find(after)? + 1,
            None => 0,
        };
        let mut end = all.len();
        if let Some(before) = &self.before {
            if !before.is_empty() {
                end = find(before)?.max(start);
            }
            start = start.max(end.saturating_sub(most));
        }
        end = end.min(start + most);
        let page = all.get(start..end).unwrap_or_default();
        let mut told = element("set", RSM, &[]);
        if let (Some(first), Some(last)) = (page.first(), page.last()) {
            let mut first = text_element("first", RSM, id(first));
            set(&mut first, "index", &start.to_string());
            told.append_child(first);
            told.append_child(text_element("last", RSM, id(last)));
        }
        told.append_child(text_element("count", RSM, &all.len().to_string()));
        Ok((page, told))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wanted(inside: &str) -> Wanted {
        let request: Element = format!("<q xmlns='x'><set xmlns='{RSM}'>{inside}</set></q>").parse().unwrap();
        Wanted::of(&request).unwrap().unwrap()
    }

    #[test]
    fn a_list_is_cut_into_pages_from_either_end() {
        let all = ["a", "b", "c", "d", "e"];
        let cut = |inside: &str| {
            let (page, told) = wanted(inside).cut(&all, 3, |item| item).unwrap();
            let first = told
                .get_child("first", RSM)
                .map(|first| first.attr("index").unwrap().to_owned());
            (page.concat(), first)
        };
        let page = |text: &str, index: &str| (text.to_owned(), Some(index.to_owned()));
        assert_eq!(cut(""), page("abc", "0"));
        assert_eq!(cut("<max>2</max><after>b</after>"), page("cd", "2"));
        assert_eq!(cut("<max>2</max><before/>"), page("de", "3"));
        assert_eq!(cut("<max>2</max><before>c</before>"), page("ab", "0"));
        assert_eq!(cut("<max>9</max><after>d</after>"), page("e", "4"));
        assert_eq!(cut("<max>0</max>"), (String::new(), None));
        assert_eq!(cut("<after>e</after>"), (String::new(), None));
        assert!(wanted("<after>z</after>").cut(&all, 3, |item| item).is_err());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for inside in ["<max>many</max>", "<max>-1</max>", "<index>3</index>"] {
            let request: Element = format!("<q xmlns='x'><set xmlns='{RSM}'>{inside}</set></q>").parse().unwrap();
            assert!(Wanted::of(&request).is_err(), "{inside}");
        }
    }
}
