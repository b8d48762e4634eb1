//! Breaks text into lines: words come in, lines of a bounded width go out.

/// The lines of a text, none wider than this unless a word is. Its own line ends stay.
pub(crate) fn lines(text: &str, width: usize) -> Vec<String> {
    text.lines().flat_map(|paragraph| paragraph_lines(paragraph, width)).collect()
}

fn paragraph_lines(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let mut line = lines.pop().unwrap_or_default();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("unbreakable a", 4), ["unbreakable", "a"]);
        assert_eq!(lines("one\n\ntwo", 40), ["one", "", "two"]);
    }
}
