//! Whoever guesses: bounded by address and by how many passwords are hashed, and never a reason to lock anybody out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::{add, sign_in};
use crate::setting::{Setting, TENANT};

/// A client at an address of its own; all of 127.0.0.0/8 is this machine.
fn client(last: [u8; 3]) -> reqwest::Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, last[0], last[1], last[2]));
    reqwest::Client::builder().local_address(address).build().unwrap()
}

async fn guess(client: &reqwest::Client, url: &str, user: &str, password: &str) -> (u16, Duration) {
    let began = Instant::now();
    let body = json!({ "tenant": TENANT, "user": user, "password": password });
    let answer = client.post(format!("{url}/v1/session")).json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    (status, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_wrong_passwords_from_many_addresses_do_not_keep_the_owner_out() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let right = add(&setting.db, TENANT, "ana", "--role admin").await;
    let guesses = stream::iter(0..1_000_u32).map(|no| {
        let [.., b, c] = no.to_be_bytes();
        let url = url.clone();
        async move { guess(&client([9, b, c]), &url, "ana", &format!("wrong {no}")).await.0 }
    });
    let flood = async { guesses.buffer_unordered(50).collect::<Vec<u16>>().await };
    let owner = async {
        let mut answers = Vec::new();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            answers.push(sign_in(&url, TENANT, "ana", &right).await.status);
        }
        answers
    };
    let (flood, owner) = tokio::join!(flood, owner);
    assert_eq!(owner, [200; 5]);
    assert!(flood.iter().all(|status| matches!(status, 401 | 503)), "{flood:?}");
    assert!(flood.iter().filter(|status| **status == 401).count() > 900, "nearly all were looked at");
    assert_eq!(sign_in(&url, TENANT, "ana", &right).await.status, 200);
}

#[tokio::test]
async fn one_address_may_guess_a_little_and_no_right_password_of_its_own_buys_it_more() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let right = add(&setting.db, TENANT, "ana", "--role admin").await;
    let mallory = add(&setting.db, TENANT, "mallory", "--role viewer").await;
    let here = client([9, 9, 9]);
    let mut looked_at = 0;
    for no in 0..40 {
        let (status, _) = guess(&here, &url, "ana", &format!("wrong {no}")).await;
        looked_at += u32::from(status == 401);
        guess(&here, &url, "mallory", &mallory).await;
    }
    assert!((20..=24).contains(&looked_at), "{looked_at}");
    let limited = guess(&here, &url, "ana", &right).await.0;
    assert_eq!(limited, 429, "this address waits, whatever it says");
    assert_eq!(guess(&here, &url, "mallory", &mallory).await.0, 200, "who shares it signs in");
    assert_eq!(guess(&client([9, 9, 8]), &url, "ana", &right).await.0, 200);
}

/// A user who is not there takes as long as one who is: printed, and held to the same order of magnitude. The figure is told in
/// `cargo figures`; a test on a busy machine cannot tell more.
#[tokio::test]
async fn who_is_not_there_is_answered_as_slowly_as_who_is() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    add(&setting.db, TENANT, "ana", "--role admin").await;
    let mut medians = Vec::new();
    for user in ["ana", "nobody", "no one at all"] {
        let mut took = Vec::new();
        for no in 0..15_u8 {
            let (status, time) = guess(&client([9, 7, no + 1]), &url, user, "wrong password").await;
            assert_eq!(status, 401);
            took.push(time);
        }
        took.sort_unstable();
        medians.push(took[7]);
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(*most < *least * 3, "{medians:?}");
}
