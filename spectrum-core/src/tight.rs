//! Lists that are many and short: of users who have one client, one contact, one request on its way. `Vec` makes room for
//! four at the first push.

/// Appends; room is made for one, and later for half as many again.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_lists_are_as_long_as_they_must_be() {
        let mut list = Vec::new();
        let mut capacities = Vec::new();
        for n in 0..5 {
            super::push(&mut list, n);
            capacities.push(list.capacity());
        }
        assert_eq!(list, [0, 1, 2, 3, 4]);
        assert_eq!(capacities, [1, 2, 3, 4, 6]);
    }
}
