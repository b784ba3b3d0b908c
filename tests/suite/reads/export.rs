//! Whole ranges as JSON lines, CSV and Parquet: the same values in each.

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use storepulse_testbed::by_hand::ByHand;

use super::{Series, get, many, send};
use crate::setting::Setting;

/// Rows: device, kind, name, unit, time, values.
type Rows = Vec<(String, String, String, Option<String>, i64, Vec<Option<f64>>)>;

async fn fetch(agent: &ByHand, query: &str, accept: Option<&str>) -> (String, Bytes) {
    let mut request = agent.request(reqwest::Method::GET, &format!("/v1/stores/T01/metrics?{query}"));
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (media_type, response.bytes().await.unwrap())
}

fn of_json_lines(body: &[u8], columns: &[&str]) -> Rows {
    let lines = std::str::from_utf8(body).unwrap().lines();
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let values = columns.iter().map(|column| row[column].as_f64()).collect();
        let unit = row["unit"].as_str().map(str::to_owned);
        (text("device"), text("kind"), text("name"), unit, row["t"].as_i64().unwrap(), values)
    };
    lines.map(row).collect()
}

fn of_csv(body: &[u8], columns: &[&str]) -> Rows {
    assert!(body.ends_with(b"\r\n"));
    let mut reader = csv::Reader::from_reader(body);
    let head: Vec<&str> =
        ["time", "t", "device", "kind", "name", "unit"].iter().chain(columns).copied().collect();
    assert_eq!(reader.headers().unwrap(), head);
    let row = |record: csv::StringRecord| {
        let text = |at: usize| record[at].to_owned();
        let t: i64 = record[1].parse().unwrap();
        let time = time::OffsetDateTime::parse(&record[0], &time::format_description::well_known::Rfc3339);
        assert_eq!(time.unwrap().unix_timestamp_nanos() / 1_000_000, i128::from(t));
        let values = (6..record.len()).map(|at| record[at].parse().ok()).collect();
        (text(2), text(3), text(4), Some(text(5)).filter(|unit| !unit.is_empty()), t, values)
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn of_parquet(body: Bytes, columns: &[&str]) -> Rows {
    let reader = SerializedFileReader::new(body).unwrap();
    let described = reader.metadata().file_metadata().schema_descr();
    let names: Vec<&str> = described.columns().iter().map(|column| column.name()).collect();
    let expected: Vec<&str> =
        ["time", "device", "kind", "name", "unit"].iter().chain(columns).copied().collect();
    assert_eq!(names, expected);
    let row = |row: parquet::record::Row| {
        let text = |at: usize| row.get_string(at).unwrap().clone();
        let number = |at: usize| row.get_double(at).or_else(|_| row.get_long(at).map(|n| n as f64)).ok();
        let values = (5..5 + columns.len()).map(number).collect();
        (
            text(1),
            text(2),
            text(3),
            row.get_string(4).ok().cloned(),
            row.get_timestamp_millis(0).unwrap(),
            values,
        )
    };
    reader.get_row_iter(None).unwrap().map(|found| row(found.unwrap())).collect()
}

#[tokio::test]
async fn every_format_holds_the_samples_that_were_sent() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let mut sent: Series = many(6, 200, 60_000);
    let odd = vec![(sent.values().next().unwrap()[0].0, 1e-300), (sent.values().next().unwrap()[1].0, -0.1)];
    sent.insert("hw.temperature".to_owned(), odd);
    send(&agent, &sent).await;
    let mut expected = Rows::new();
    for (name, samples) in &sent {
        let unit = (name == "hw.temperature").then(|| "Cel".to_owned());
        let row = |(t, value): &(i64, f64)| {
            ("d".to_owned(), "host".to_owned(), name.clone(), unit.clone(), *t, vec![Some(*value)])
        };
        expected.extend(samples.iter().map(row));
    }
    for (query, accept, media_type) in [
        ("from=0&format=jsonl", None, "application/x-ndjson"),
        ("from=0&format=jsonl", Some("text/csv"), "application/x-ndjson"),
        ("from=0", Some("application/x-ndjson"), "application/x-ndjson"),
    ] {
        let (found, body) = fetch(&agent, query, accept).await;
        assert_eq!(found, media_type);
        assert_eq!(of_json_lines(&body, &["value"]), expected);
    }
    let (media_type, body) = fetch(&agent, "from=0&format=csv", None).await;
    assert_eq!(media_type, "text/csv; charset=utf-8; header=present");
    assert_eq!(of_csv(&body, &["value"]), expected);
    let (media_type, body) = fetch(&agent, "from=0&format=parquet", None).await;
    assert_eq!(media_type, "application/vnd.apache.parquet");
    assert_eq!(of_parquet(body, &["value"]), expected);
}

#[tokio::test]
async fn steps_are_the_same_in_every_format() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(4, 100, 60_000)).await;
    let to = crate::setting::now_ms();
    let query = format!("from={}&to={to}&step=30m&agg=count,avg,rate", to - 7_200_000);
    let json = get(&agent, &format!("metrics?{query}")).await;
    let mut expected = Rows::new();
    for series in json["series"].as_array().unwrap() {
        let text = |name: &str| series[name].as_str().unwrap().to_owned();
        for bucket in series["buckets"].as_array().unwrap() {
            let values = (1..4).map(|at| bucket[at].as_f64()).collect();
            expected.push((
                text("device"),
                text("kind"),
                text("name"),
                None,
                bucket[0].as_i64().unwrap(),
                values,
            ));
        }
    }
    assert!(expected.len() >= 16, "{expected:?}");
    let columns = ["count", "avg", "rate"];
    let (_, body) = fetch(&agent, &format!("{query}&format=jsonl"), None).await;
    assert_eq!(of_json_lines(&body, &columns), expected);
    let (_, body) = fetch(&agent, &format!("{query}&format=csv"), None).await;
    assert_eq!(of_csv(&body, &columns), expected);
    let (_, body) = fetch(&agent, &format!("{query}&format=parquet"), None).await;
    assert_eq!(of_parquet(body, &columns), expected);
}

#[tokio::test]
async fn an_export_of_nothing_is_a_file_without_rows() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (_, body) = fetch(&agent, "format=csv", None).await;
    assert_eq!(body, "time,t,device,kind,name,unit,value\r\n");
    let (_, body) = fetch(&agent, "format=jsonl", None).await;
    assert_eq!(body, "");
    let (_, body) = fetch(&agent, "format=parquet", None).await;
    assert_eq!(of_parquet(body, &["value"]), Rows::new());
}

/// More than one piece of the service's own reading, and more than one row group.
#[tokio::test]
async fn a_long_export_is_whole_and_every_sample_is_there_once() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let all = many(20, 15_000, 5_000);
    for n in 0..15 {
        let part = |(name, samples): (&String, &Vec<(i64, f64)>)| {
            (name.clone(), samples[n * 1_000..(n + 1) * 1_000].to_vec())
        };
        send(&agent, &all.iter().map(part).collect()).await;
    }
    let (_, body) = fetch(&agent, "from=0&format=parquet", None).await;
    let mut read = Series::new();
    for (_, _, name, _, t, values) in of_parquet(body, &["value"]) {
        read.entry(name).or_default().push((t, values[0].unwrap()));
    }
    assert!(read == all, "{} samples", read.values().map(Vec::len).sum::<usize>());
    let (_, body) = fetch(&agent, "from=0&format=jsonl&step=1h&agg=count", None).await;
    let count: f64 = of_json_lines(&body, &["count"]).iter().filter_map(|row| row.5[0]).sum();
    assert_eq!(count, 300_000.0);

    let too_much = agent.get("/v1/stores/T01/metrics?from=0").await.unwrap();
    assert_eq!((too_much.status, too_much.code()), (413, "range_too_large"), "{too_much:?}");
    for way_out in ["100000", "limit=", "format=csv", "shorter range"] {
        assert!(too_much.detail().contains(way_out), "{way_out}: {too_much:?}");
    }
}
