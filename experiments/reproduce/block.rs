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
    let missing = |marker: &str| {
        Misuse(format!(
            "the page has no '{marker}' where the table is to go; put '{begin}' above and '{END}' \
             below its place, each on a line of its own"
        ))
    };
    let (_, rest) = page.split_once(&begin).ok_or_else(|| missing(&begin))?;
    if rest.contains(&begin) {
        return Err(Misuse(format!(
            "the page has '{begin}' twice; keep one of them"
        )));
    }
    // The end of another table is none of this one's.
    let (block, _) = rest.split_once(END).ok_or_else(|| missing(END))?;
    match block.contains("<!--") {
        true => Err(missing(END)),
        false => Ok(block),
    }
}

/// The page with another table in that place.
///
/// # Errors
///
/// As [`find`].
pub fn replace(page: &str, name: &str, table: &str) -> Result<String, Misuse> {
    let old = find(page, name)?;
    let begin = begin(name);
    Ok(page.replacen(
        &format!("{begin}{old}{END}"),
        &format!("{begin}\n\n{}\n\n{END}", table.trim()),
        1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_put_between_its_comments_and_nothing_else_changes() {
        let page = "above\n<!-- dni reproduce text -->\nold\n<!-- end -->\nbetween\n\
                    <!-- dni reproduce sparse -->\n<!-- end -->\nbelow\n";
        let once = replace(page, "text", "| new |\n").unwrap();
        assert_eq!(
            once,
            "above\n<!-- dni reproduce text -->\n\n| new |\n\n<!-- end -->\nbetween\n\
             <!-- dni reproduce sparse -->\n<!-- end -->\nbelow\n"
        );
        assert_eq!(replace(&once, "text", "| new |\n").unwrap(), once);
        assert!(replace(page, "sparse", "x").unwrap().contains("\nold\n"));
    }

    #[test]
    fn missing_comments_are_told() {
        let begin = begin("text");
        let other = super::begin("sparse");
        for page in [
            String::new(),
            format!("{other}\n{END}\n"),
            format!("{begin}\n"),
            format!("{begin}\n{other}\n{END}\n"),
            format!("{begin}\n{END}\n{begin}\n{END}\n"),
        ] {
            let error = replace(&page, "text", "x").unwrap_err();
            assert!(error.0.contains(&begin), "{page}: {error}");
        }
    }
}
