//! A run on one page: what was done, who owned what, what clients got, and the verdict. One HTML file without
//! anything from elsewhere.
//!
//! [`model`] makes figures of a history; `page.html`, `page.css` and `page.js` draw them.

mod model;
mod timeline;

use anyhow::{Context, Result};

use self::model::Model;
use crate::check::Verdict;
use crate::history::History;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of a run.
///
/// # Errors
/// The figures cannot be written as JSON: never expected.
pub fn page(history: &History, verdict: &Verdict) -> Result<String> {
    let data = serde_json::to_string(&Model::new(history, verdict)).context("the figures of a report")?;
    // Text of a node or a client must not end the script that it stands in.
    let data = data.replace("</", "<\\/").replace("<!--", "<\\!--");
    let page = PAGE.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1);
    Ok(page.replacen("/*DATA*/", &data, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge;
    use crate::check::sample::Story;

    #[test]
    fn page_has_everything_in_it_and_nothing_ends_its_script() {
        let mut story = Story::right();
        story.info.scenario = "</script><b>".to_owned();
        let history = story.load();
        let page = page(&history, &judge(&history)).unwrap();
        assert_eq!(page.matches("</script>").count(), 2, "the data's and the program's");
        assert!(!page.contains("/*DATA*/") && !page.contains("/*STYLE*/") && !page.contains("/*SCRIPT*/"));
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "nothing from elsewhere");
    }
}
