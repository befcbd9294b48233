//! What upstreams and modules may hand over, whatever it is.

use proptest::prelude::*;

use super::response::{Response, Told};
use super::service::{Service, ServiceError};
use crate::{GrpcEvent, HeaderMap};

/// Everything that is told of these pieces of a body.
fn told(pieces: &[&[u8]]) -> Vec<Told> {
    let mut response = Response::new(false, 1000);
    let headers = HeaderMap::from([(":status", "200")]);
    let mut told = response.take(GrpcEvent::Headers { headers, end: false });
    for piece in pieces {
        told.extend(response.take(GrpcEvent::Data(piece.to_vec().into())));
        if told.iter().any(|told| matches!(told, Told::Close { .. })) {
            return told;
        }
    }
    told.extend(response.take(GrpcEvent::End));
    told
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame = |message: &Vec<u8>| {
        [&[0, 0, 0], u16::try_from(message.len()).unwrap().to_be_bytes().as_slice(), message].concat()
    };
    messages.iter().flat_map(frame).collect()
}

proptest! {
    #[test]
    fn messages_are_the_same_however_they_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        sizes in prop::collection::vec(1_usize..20, 1..100),
    ) {
        let bytes = framed(&messages);
        let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let heard: Vec<Vec<u8>> = told(&pieces).into_iter().filter_map(|told| match told {
            Told::Message(message) => Some(message),
            _ => None,
        }).collect();
        prop_assert_eq!(heard, messages);
    }

    #[test]
    fn any_bytes_end_in_one_close(pieces in prop::collection::vec(prop::collection::vec(0_u8..4, 0..30), 0..10)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let told = told(&pieces);
        let closes = told.iter().filter(|told| matches!(told, Told::Close { .. })).count();
        let ends = matches!(told.last(), Some(Told::Close { .. }));
        prop_assert!(closes == 1 && ends);
    }

    #[test]
    fn any_bytes_are_a_service_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Service::parse(&bytes);
    }
}

#[test]
fn services() {
    let cluster = |name: &str| Service::of_cluster(name.to_owned());
    let cases: [(&[u8], Result<Service, ServiceError>); 9] = [
        (b"\n\x03\n\x01c", Ok(cluster("c"))),
        (b"\n\x00", Ok(cluster(""))),
        // Of two, one is made: what the second says counts.
        (b"\n\x03\n\x01c\n\x03\n\x01d", Ok(cluster("d"))),
        (b"\n\x07\n\x01c\"\x02\x08\x05", Ok(Service { max_message: Some(5), ..cluster("c") })),
        (b"\n\x03\n\x01c*\x04\n\x00\x12\x00", Ok(cluster("c"))),
        (b"", Err(ServiceError::NoTarget)),
        (b"\x12\x00", Err(ServiceError::Refused)),
        (b"\n\x03\n\x01c*\x06\n\x02:x\x12\x00", Err(ServiceError::Refused)),
        (b"\n\x03\n\x01\xff", Err(ServiceError::Malformed)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Service::parse(bytes), expected, "{}", bytes.escape_ascii());
    }
}
