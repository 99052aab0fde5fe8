use std::fs;
use std::path::Path;

/// The folders that have pages.
const FOLDERS: [&str; 5] = [".", "docs", "loadtest", "examples", "clients/js"];

/// The lines of a page that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect()
}

/// Whether a link of a page leads to a file that is there, and to a heading of it.
fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.with_file_name("").join(file),
    };
    if place.is_empty() || target.extension().is_none_or(|end| end != "md") {
        return target.exists();
    }
    let text = fs::read_to_string(target).unwrap_or_default();
    let mut headings = prose(&text).filter(|line| line.starts_with('#'));
    headings.any(|heading| anchor(heading) == place)
}

#[test]
fn every_link_between_pages_leads_to_a_heading_that_is_there() {
    let mut links = 0;
    for folder in FOLDERS {
        for entry in fs::read_dir(folder).expect("a folder") {
            let page = entry.expect("an entry").path();
            if page.extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = fs::read_to_string(&page).expect("a page");
            for line in prose(&text) {
                for rest in line.split("](").skip(1) {
                    let link = rest.split([')', ' ']).next().unwrap_or_default();
                    if link.contains(':') {
                        continue;
                    }
                    links += 1;
                    let leads = leads_somewhere(&page, link);
                    assert!(leads, "{}: {link}", page.display());
                }
            }
        }
    }
    assert!(links > 100, "{links}");
}
