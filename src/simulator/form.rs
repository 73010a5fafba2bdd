//! A request's body as parameters, in either of the two forms that the provider accepts. Tolerant: what can't be
//! read is left out, as a PHP server does.

use super::call::Call;

/// Reads a body by its `Content-Type`; anything but multipart is taken for URL-encoded.
pub(super) fn read(content_type: &str, body: &[u8]) -> Call {
    let is_multipart = content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data");
    let params = match boundary(content_type).filter(|_| is_multipart) {
        Some(boundary) => multipart(&boundary, body),
        None => url_encoded(body),
    };
    Call::new(params)
}

fn boundary(content_type: &str) -> Option<String> {
    let at = content_type.to_ascii_lowercase().find("boundary=")?;
    let value = content_type.get(at + "boundary=".len()..)?.split(';').next()?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn url_encoded(body: &[u8]) -> Vec<(String, String)> {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || percent_decoded(halves.next().unwrap_or_default());
            (half(), half())
        })
        .collect()
}

fn percent_decoded(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            (other, _) => decoded.push(*other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn multipart(boundary: &str, body: &[u8]) -> Vec<(String, String)> {
    let body = String::from_utf8_lossy(body);
    let delimiter = format!("--{boundary}");
    let parts = body.split(&delimiter).skip(1);
    parts.filter_map(|part| part_of(part.strip_prefix("\r\n")?)).collect()
}

/// A part's name and value: its head, an empty line, its value, a line end.
fn part_of(part: &str) -> Option<(String, String)> {
    let (head, value) = part.split_once("\r\n\r\n")?;
    let disposition =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))?;
    let name = disposition.split(';').find_map(|item| item.trim().strip_prefix("name="))?;
    Some((name.trim_matches('"').to_owned(), value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_encoded_body_is_read() {
        let call = read(
            "application/x-www-form-urlencoded",
            b"apiKey=K%2B1+2&userId=u&action=placeorder&imei=1%2C2&bad=%zz&flag&=x",
        );
        assert_eq!((call.get("apiKey"), call.get("imei"), call.get("bad")), ("K+1 2", "1,2", "%zz"));
        assert_eq!((call.get("flag"), call.get("absent")), ("", ""));
    }

    #[test]
    fn a_multipart_body_is_read_as_curl_and_php_send_it() {
        let body = "--XX\r\nContent-Disposition: form-data; name=\"imei\"\r\n\r\n35,\r\n36\r\n--XX\r\n\
                    Content-Disposition: form-data; name=\"action\"\r\nContent-Type: text/plain\r\n\r\n\
                    placeorder\r\n--XX--\r\n";
        let call = read("multipart/form-data; boundary=XX", body.as_bytes());
        assert_eq!((call.get("imei"), call.get("action")), ("35,\r\n36", "placeorder"));
        assert!(call.is_place());
    }

    #[test]
    fn both_forms_give_the_same_call() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
        assert_eq!(read("multipart/form-data; boundary=\"b\"", body.as_bytes()), read("", b"a=1"));
    }

    #[test]
    fn a_body_that_cannot_be_read_gives_no_parameters() {
        assert_eq!(read("multipart/form-data; boundary=b", b"\xff\x00garbage"), Call::default());
        assert_eq!(read("", b""), Call::default());
    }
}
