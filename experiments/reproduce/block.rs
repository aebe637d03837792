//! The place of a table in a page, between two comments.

use crate::args::Misuse;

/// The comment above the table `name`.
pub fn begin(name: &str) -> String {
    format!("<!-- dni reproduce {name} -->")
}

/// The comment below a table.
const END: &str = "<!-- end -->";

/// What stands above the comments of the table `name`, between them and below.
///
/// # Errors
///
/// If there are no such comments, or several.
pub fn find<'a>(page: &'a str, name: &str) -> Result<[&'a str; 3], Misuse> {
    let begin = begin(name);
    let parts = page.split_once(&begin).and_then(|(above, rest)| {
        let (block, below) = rest.split_once(END)?;
        Some([above, block, below])
    });
    // The end of another table is none of this one's.
    let is_whole =
        |[_, block, below]: &[&str; 3]| !block.contains("<!--") && !below.contains(&begin);
    parts.filter(is_whole).ok_or_else(|| {
        Misuse(format!(
            "the page must have '{begin}' once, and '{END}' after it; put them above and below the \
             place of the table, each on a line of its own"
        ))
    })
}

/// The page with another table in that place.
///
/// # Errors
///
/// As [`find`].
pub fn replace(page: &str, name: &str, table: &str) -> Result<String, Misuse> {
    let ([above, _, below], begin) = (find(page, name)?, begin(name));
    Ok(format!(
        "{above}{begin}\n\n{}\n\n{END}{below}",
        table.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_put_between_its_comments_and_nothing_else_changes() {
        let [text, sparse] = ["text", "sparse"].map(begin);
        let rest = format!("{END}\nbetween\n{sparse}\n{END}\nbelow\n");
        let once = replace(&format!("above\n{text}\nold\n{rest}"), "text", "| new |\n").unwrap();
        assert_eq!(once, format!("above\n{text}\n\n| new |\n\n{rest}"));
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
            let error = find(&page, "text").unwrap_err();
            assert!(error.0.contains(&begin), "{page}: {error}");
        }
    }
}
