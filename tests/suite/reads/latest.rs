//! The newest value of each series.

use serde_json::json;

use super::{Series, get, send};
use crate::setting::{Setting, now_ms};

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn each_series_has_its_newest_value_however_long_it_has_been_silent() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let sent: Series = [
        ("hw.temperature".to_owned(), vec![(now - 3 * MINUTE, 4.0), (now - 2 * MINUTE, 0.0)]),
        ("an.hour.ago".to_owned(), vec![(now - 61 * MINUTE, 1.0), (now - 60 * MINUTE, 2.0)]),
        ("this.morning".to_owned(), vec![(now - 600 * MINUTE, 3.0)]),
        ("ahead".to_owned(), vec![(now - MINUTE, 5.0), (now + 30 * MINUTE, 6.0)]),
    ]
    .into();
    send(&agent, &sent).await;
    let long_ago: Series = [("long.ago".to_owned(), vec![(now - 25 * 60 * MINUTE, 7.0)])].into();
    send(&agent, &long_ago).await;
    // What is received later and is older is not the newest.
    let late: Series = [("hw.temperature".to_owned(), vec![(now - 5 * MINUTE, 9.0)])].into();
    send(&agent, &late).await;

    let answer = get(&agent, "latest").await;
    let found: Vec<_> =
        answer["series"].as_array().unwrap().iter().map(|s| json!([s["name"], s["t"], s["value"]])).collect();
    let expected = [
        json!(["ahead", now + 30 * MINUTE, 6.0]),
        json!(["an.hour.ago", now - 60 * MINUTE, 2.0]),
        json!(["hw.temperature", now - 2 * MINUTE, 0.0]),
        json!(["long.ago", now - 25 * 60 * MINUTE, 7.0]),
        json!(["this.morning", now - 600 * MINUTE, 3.0]),
    ];
    assert_eq!(found, expected);
    let temperature = &answer["series"][2];
    assert_eq!(
        (&temperature["unit"], &temperature["device"], &temperature["kind"]),
        (&"Cel".into(), &"d".into(), &"host".into())
    );
    let age = answer["now"].as_i64().unwrap() - (now - 2 * MINUTE);
    assert_eq!(temperature["age"], age);
    assert!(answer["series"][0]["age"].as_i64().unwrap() < 0);

    let of_one = get(&agent, "latest?metric=hw.temperature&device=d").await;
    assert_eq!(of_one["series"].as_array().unwrap().len(), 1);
    assert_eq!(get(&agent, "latest?device=e").await["series"], json!([]));
}
