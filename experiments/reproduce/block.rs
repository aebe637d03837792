//! The place of a table in a page, between two comments.

use crate::args::Misuse;

/// The comment above the table `name`.
pub fn begin(name: &str) -> String {
    format!("<!-- dni reproduce {name} -->")
}

/// The comment below a table.
pub const END: &str = "<!-- end -->";

/// What stands between the comments of the table `name`.
///
/// # Errors
///
/// If there are no such comments, or several.
pub fn find<'a>(page: &'a str, name: &str) -> Result<&'a str, Misuse> {
    let begin = begin(name);
    let mut parts = page.split(&begin).skip(1);
    let (below, again) = (parts.next(), parts.next());
    let block = below.and_then(|below| Some(below.split_once(END)?.0));
    match (block, again) {
        // The end of another table is none of this one's.
        (Some(block), None) if !block.contains("<!--") => Ok(block),
        _ => Err(Misuse(format!(
            "the page must have '{begin}' once, and '{END}' after it; put them above and below the \
             place of the table, each on a line of its own"
        ))),
    }
}

/// The page with another table in that place.
///
/// # Errors
///
/// As [`find`].
pub fn replace(page: &str, name: &str, table: &str) -> Result<String, Misuse> {
    let (old, begin) = (find(page, name)?, begin(name));
    let (old, new) = (
        format!("{begin}{old}"),
        format!("{begin}\n\n{}\n\n", table.trim()),
    );
    Ok(page.replacen(&old, &new, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_put_between_its_comments_and_nothing_else_changes() {
        let page = "above\n<!-- dni reproduce text -->\nold\n<!-- end -->\nbetween\n\
                    <!-- dni reproduce sparse -->\n<!-- end -->\nbelow\n";
        let once = replace(page, "text", "| new |\n").unwrap();
        let block = "<!-- dni reproduce text -->\n\n| new |\n\n<!-- end -->";
        assert!(
            once.starts_with(&format!("above\n{block}\nbetween\n<!--")),
            "{once}"
        );
        assert!(
            once.ends_with(" sparse -->\n<!-- end -->\nbelow\n"),
            "{once}"
        );
        assert_eq!(replace(&once, "text", "| new |\n").unwrap(), once);
    }

    #[test]
    fn missing_comments_are_told() {
        let [begin, other] = ["text", "sparse"].map(begin);
        for page in [
            String::new(),
            format!("{begin}\n"),
            format!("{begin}\n{other}\n{END}\n"),
            format!("{begin}\n{END}\n{begin}\n{END}\n"),
        ] {
            let error = replace(&page, "text", "x").unwrap_err();
            assert!(error.0.contains(&begin), "{page}: {error}");
        }
    }
}
