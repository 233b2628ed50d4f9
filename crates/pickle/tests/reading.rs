//! What pickles give, by hand, and what is refused.

use mp_pickle::{Error, Item, MOST, Name, Pickle};
use proptest::prelude::*;

/// As Python 2 wrote `{'labels': [6, 300], 'data': array([[1, 2, 3], [4, 5, 6]], dtype=uint8)}`.
const ARRAY: &[u8] = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06M\x2c\x01eU\x04dataq\x04cnumpy.core.multiarray\n\
    _reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01bq\x08\x87q\x09Rq\x0a(K\x01K\x02K\x03\x86q\x0bcnumpy\ndtype\n\
    q\x0cU\x02u1q\x0dK\x00K\x01\x87q\x0eRq\x0f(K\x03U\x01|q\x10NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89U\x06\
    \x01\x02\x03\x04\x05\x06q\x12tq\x13bu.";

fn of_numpy(name: Name<'_>) -> bool {
    name.module.starts_with("numpy")
}

fn refusal(bytes: &[u8]) -> String {
    Pickle::parse(bytes, of_numpy).unwrap_err().to_string()
}

#[test]
fn every_kind_of_value_is_read() {
    // pickle.dumps((None, True, 7, -2, 2**70, 0.5, "ä", [1], {"a": 2}), protocol=2)
    let bytes = b"\x80\x02(N\x88K\x07J\xfe\xff\xff\xff\x8a\x09\0\0\0\0\0\0\0\0@G?\xe0\0\0\0\0\0\0X\x02\0\0\0\xc3\xa4q\0]q\x01K\x01a\
        }q\x02X\x01\0\0\0aq\x03K\x02stq\x04.";
    let pickle = Pickle::parse(bytes, |_| false).unwrap();
    let items: Vec<Item> = pickle.root().tuple().unwrap().collect();
    assert!(items[0].is_none());
    assert_eq!(items[1].bool(), Some(true));
    assert_eq!((items[2].int(), items[3].int(), items[4].int()), (Some(7), Some(-2), None));
    assert_eq!(items[4].long(), Some(&[0, 0, 0, 0, 0, 0, 0, 0, 64][..]));
    assert_eq!((items[5].float(), items[6].text()), (Some(0.5), Some("ä")));
    assert_eq!(items[7].list().unwrap().map(|item| item.int().unwrap()).collect::<Vec<_>>(), [1]);
    assert_eq!(items[8].get("a").and_then(Item::int), Some(2));
    assert!(items[8].get("b").is_none() && items[8].list().is_none());
    assert_eq!(items[8].kind(), "a dictionary");
}

#[test]
fn whole_numbers_of_any_length_up_to_eight_bytes_are_whole_numbers() {
    for (bytes, number) in [
        (&b"\x8a\x00."[..], 0),
        (b"\x8a\x01\xff.", -1),
        (b"\x8a\x02\xff\x00.", 255),
        (b"\x8b\x08\0\0\0\0\0\0\0\0\0\0\x80.", i64::MIN),
    ] {
        assert_eq!(Pickle::parse(bytes, |_| false).unwrap().root().int(), Some(number));
    }
}

#[test]
fn a_call_is_written_down_with_what_its_result_would_be_given() {
    let pickle = Pickle::parse(ARRAY, of_numpy).unwrap();
    let array = pickle.root().get("data").and_then(Item::object).unwrap();
    assert!(array.name().is("numpy.core.multiarray", "_reconstruct"));
    let arguments: Vec<Item> = array.arguments().collect();
    assert_eq!(arguments[0].name().unwrap().to_string(), "numpy.ndarray");
    assert_eq!(arguments[2].bytes(), Some(&b"b"[..]));
    let state: Vec<Item> = array.state().and_then(Item::tuple).unwrap().collect();
    assert_eq!(state[2].object().unwrap().arguments().next().and_then(Item::text), Some("u1"));
    assert_eq!(state[4].bytes(), Some(&[1, 2, 3, 4, 5, 6][..]));
    assert_eq!(array.pairs().len(), 0);
}

#[test]
fn an_object_can_be_filled_and_the_rest_of_the_input_is_given_back() {
    // OrderedDict(a=<persistent 5>), then something else.
    let bytes = b"\x80\x02ccollections\nOrderedDict\n)RU\x01aK\x05Qs.rest";
    let (pickle, rest) = Pickle::parse_first(bytes, |name| name.is("collections", "OrderedDict")).unwrap();
    let (key, value) = pickle.root().object().unwrap().pairs().next().unwrap();
    assert_eq!((key.text(), value.persistent().and_then(Item::int)), (Some("a"), Some(5)));
    assert_eq!(rest, b"rest");
}

#[test]
fn a_list_that_holds_itself_is_one_value() {
    let pickle = Pickle::parse(b"]q\x00h\x00a.", |_| false).unwrap();
    let member = pickle.root().list().unwrap().next().unwrap();
    assert_eq!(member.number(), pickle.root().number());
}

#[test]
fn nothing_is_ever_called() {
    for (bytes, message) in [
        // pickle.dumps of an object whose __reduce__ gives (os.system, ("true",)), in protocols 0, 2 and 4.
        (
            &b"cposix\nsystem\n(Vtrue\ntR."[..],
            "byte 14: holds `posix.system`, which would be executed by Python: refused",
        ),
        (
            b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.",
            "byte 16: holds `posix.system`, which would be executed by Python: refused",
        ),
        (
            b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x8c\x04true\x85R.",
            "byte 29: holds `posix.system`, which would be executed by Python: refused",
        ),
        (b"cos\xff\nsystem\n.", "byte 12: holds `os\\xff.system`, which would be executed by Python: refused"),
        (b"K\x01)R.", "byte 4: expected a function with a name, found a call of something else: refused"),
        (b"cnumpy\nndarray\nNR.", "byte 17: expected arguments, found something else"),
        (b"]Nb.", "byte 3: expected an object, found something else"),
        (b"i__builtin__\neval\n.", "byte 0: expected an opcode of plain values, found 0x69: refused"),
        (b"cnumpy\nndarray\n)\x81.", "byte 16: expected an opcode of plain values, found 0x81: refused"),
    ] {
        assert_eq!(refusal(bytes), message);
    }
}

#[test]
fn broken_pickles_are_refused() {
    for (bytes, message) in [
        (&b""[..], "byte 0: expected 1 more bytes, found the end after 0"),
        (&ARRAY[..100], "byte 100: expected 1 more bytes, found the end after 0"),
        (b"T\xff\xff\xff\xffabc", "byte 5: expected 4294967295 more bytes, found the end after 3"),
        (b".", "byte 1: expected a value, found an empty stack"),
        (b"K\x01K\x02(\x87.", "byte 6: expected 3 values, found fewer"),
        (b"h\x07.", "byte 2: expected a value of before, found number 7"),
        (b"}K\x01a.", "byte 4: expected a list or dictionary, found something else"),
    ] {
        assert_eq!(refusal(bytes), message);
    }
}

#[test]
fn no_pickle_fills_the_memory() {
    for bomb in [
        [&b"]q\x00"[..], &b"h\x00".repeat(MOST + 1), b"."].concat(),
        b"(".repeat(MOST + 2),
        b"N".repeat(MOST + 2),
        [&b"N"[..], &b"\x94".repeat(MOST + 2)].concat(),
    ] {
        assert!(refusal(&bomb).ends_with("expected at most 1048576 values, found more"));
    }
}

#[test]
fn every_beginning_is_refused() {
    for end in 0..ARRAY.len() {
        assert!(matches!(Pickle::parse(&ARRAY[..end], of_numpy), Err(Error::Malformed { .. })), "{end} bytes");
    }
}

proptest! {
    #[test]
    fn any_damage_is_values_or_an_error(damage in proptest::collection::vec((0..ARRAY.len(), any::<u8>()), 0..8)) {
        let mut bytes = ARRAY.to_vec();
        damage.into_iter().for_each(|(at, value)| bytes[at] = value);
        if let Ok(pickle) = Pickle::parse(&bytes, of_numpy) {
            let _ = pickle.root().get("data").and_then(Item::object).map(|object| object.arguments().count());
        }
    }
}
