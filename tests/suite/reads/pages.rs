//! Any range can be read whole, in pages, and every sample once.

use super::{Series, add_samples, get, many, send};
use crate::setting::Setting;

/// Follows `next` to the end; returns what the pages hold together, and how many there were.
async fn read_pages(setting: &Setting, query: &str, limit: usize) -> (Series, usize) {
    let (mut all, mut pages) = (Series::new(), 0);
    let mut cursor = String::new();
    loop {
        let page = get(&setting.by_hand(), &format!("metrics?{query}&limit={limit}{cursor}")).await;
        let samples = add_samples(&mut all, &page);
        assert!(samples <= limit, "{samples} in a page of {limit}");
        pages += 1;
        let Some(next) = page["next"].as_str() else {
            assert!(page["next"].is_null());
            return (all, pages);
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_hold_every_sample_once_and_none_is_larger_than_asked_for() {
    let setting = Setting::new().await;
    let sent = many(7, 300, 60_000);
    send(&setting.by_hand(), &sent).await;
    for (limit, most) in [(100_000, 1), (2_100, 1), (2_099, 2), (300, 8), (97, 30)] {
        let (read, pages) = read_pages(&setting, "from=0", limit).await;
        assert_eq!(read, sent, "in pages of {limit}");
        assert!(pages <= most, "{pages} pages of {limit}");
    }
    let of_one = r#"metric=m003&from=0"#;
    let (read, pages) = read_pages(&setting, of_one, 10).await;
    assert_eq!(read.values().next(), sent.values().nth(3));
    assert_eq!((read.len(), pages), (1, 30));
    let (read, pages) = read_pages(&setting, "from=5&to=6", 10).await;
    assert_eq!((read, pages), (Series::new(), 1));
}

#[tokio::test]
async fn a_page_stays_in_the_range_of_the_first_whatever_time_it_has_become() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(2, 50, 60_000)).await;
    let first = get(&agent, "metrics?limit=10").await;
    let next = first["next"].as_str().unwrap();
    let second = get(&agent, &format!("metrics?limit=20&cursor={next}")).await;
    assert_eq!((&second["from"], &second["to"]), (&first["from"], &first["to"]));
}

#[tokio::test]
async fn a_series_that_comes_in_between_two_pages_disturbs_nothing() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let sent = many(3, 100, 60_000);
    send(&agent, &sent).await;
    let mut all = Series::new();
    let page = get(&agent, "metrics?from=0&limit=150").await;
    add_samples(&mut all, &page);
    // One before the place of the page, one behind it.
    let late: Series = [("a".to_owned(), vec![sent["m000{shelf=\"0, =\"}"][0]])].into();
    send(&agent, &late).await;
    let later: Series = [("m001{a=\"x\"}".to_owned(), vec![sent["m000{shelf=\"0, =\"}"][0]])].into();
    send(&agent, &later).await;
    let next = page["next"].as_str().unwrap();
    let page = get(&agent, &format!("metrics?from=0&limit=1000&cursor={next}")).await;
    add_samples(&mut all, &page);
    assert_eq!(all, sent, "both stand before the place that was reached");
}

#[tokio::test]
async fn times_may_be_rfc_3339_and_series_are_chosen_by_device_metric_and_label() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(12, 10, 60_000)).await;
    let names = async |query: &str| {
        let answer = get(&agent, &format!("metrics?from=2026-01-01T00:00:00Z&{query}")).await;
        let series = answer["series"].as_array().unwrap().clone();
        series.iter().map(|s| s["name"].as_str().unwrap()[..4].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await.len(), 12);
    assert_eq!(names("metric=m005").await, ["m005"]);
    assert_eq!(names("label=shelf=11,%20%3D").await, ["m011"]);
    assert_eq!(names("label=shelf=x").await, [""; 0]);
    assert_eq!(names("device=e").await, [""; 0]);
    assert_eq!(names("to=2026-01-01T02:00:00%2B01:00").await, [""; 0]);
}
