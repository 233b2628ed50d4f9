//! The same pictures give the same probabilities wherever they are read, and what a network is judged by is said.

use std::collections::BTreeMap;
use std::fs;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use serde_json::Value;

use super::*;

/// A picture with fine structure, which any other crop or filter would change.
fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 7919 + y * 104_729 + seed * 15_485_863) % 251;
        Rgb([noise as u8, (noise * 3 % 256) as u8, (x * 255 / width) as u8])
    })
}

/// `set/{train,val}/CLASS`: pictures of many shapes, some of the size that networks will have, some grey.
fn shapes(folder: &Path, classes: &[&str]) {
    for (number, class) in classes.iter().enumerate() {
        for split in ["train", "val"] {
            let inside = folder.join("set").join(split).join(class);
            fs::create_dir_all(&inside).unwrap();
            for (width, height) in [(8, 8), (24, 16), (9, 40), (8, 12), (30, 30)] {
                let seed = number as u32 + width;
                picture(width, height, seed).save(inside.join(format!("{width}x{height}.png"))).unwrap();
            }
            let grey = GrayImage::from_fn(20, 14, |x, y| Luma([(x * 12 + y * number as u32) as u8]));
            grey.save(inside.join("grey.png")).unwrap();
            DynamicImage::from(picture(31, 22, 5))
                .save_with_format(inside.join("photo.jpg"), ImageFormat::Jpeg)
                .unwrap();
        }
    }
}

const PLAIN: [&str; 10] =
    ["train", "--model", "base_cnn_w4", "--out", "run", "--set", "train.epochs=1", "--set", "train.threads=1", "--set"];

fn train_on_shapes(folder: &Path, settings: &[&str]) {
    let mut arguments = [&PLAIN[..], &["train.batch_size=4", "--data", "set", "--set", "data.size=8"]].concat();
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    succeed(mp_train(folder, &arguments));
}

/// The probabilities of each image by `eval`, by class.
fn by_eval(folder: &Path, arguments: &[&str]) -> BTreeMap<String, BTreeMap<String, f64>> {
    let file = folder.join("found.csv");
    let _ = fs::remove_file(&file);
    succeed(mp_train(folder, &[&["eval", "--predictions", "found.csv"], arguments].concat()));
    let mut reader = csv::Reader::from_path(&file).unwrap();
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.iter().take(4).collect::<Vec<_>>(), ["image", "label", "predicted", "probability"]);
    let class = |name: &str| name.strip_prefix("p(").unwrap().strip_suffix(')').unwrap().to_owned();
    let found = reader.records().map(|record| {
        let record = record.unwrap();
        let row = header.iter().zip(&record).skip(4).map(|(name, value)| (class(name), value.parse().unwrap()));
        (below(folder, &record[0]), row.collect())
    });
    found.collect()
}

/// A path in `folder`, whether it was written with the folder or without.
fn below(folder: &Path, path: &str) -> String {
    let path = Path::new(path);
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

/// The same by `predict`.
fn by_predict(folder: &Path, arguments: &[&str]) -> BTreeMap<String, BTreeMap<String, f64>> {
    let text = succeed(mp_train(folder, &[&["predict", "--csv", "--top", "100"], arguments].concat()));
    let mut found = BTreeMap::<String, BTreeMap<String, f64>>::new();
    for record in csv::Reader::from_reader(text.as_bytes()).records() {
        let record = record.unwrap();
        found.entry(below(folder, &record[0])).or_default().insert(record[2].to_owned(), record[3].parse().unwrap());
    }
    found
}

#[track_caller]
fn assert_equal(a: &BTreeMap<String, BTreeMap<String, f64>>, b: &BTreeMap<String, BTreeMap<String, f64>>) {
    assert!(!a.is_empty() && a.keys().eq(b.keys()), "{a:?} {b:?}");
    for (image, probabilities) in a {
        for (class, probability) in probabilities {
            // Batches of another size may be summed up in another order.
            assert!((probability - b[image][class]).abs() < 1e-5, "{image} {class}: {probability} {}", b[image][class]);
        }
    }
}

#[test]
fn predict_and_eval_give_each_picture_the_same_probabilities_for_each_way_of_cropping() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    let mut seen = Vec::new();
    for settings in [&[][..], &["data.crop=0.5"], &["data.augment.random_resized_crop={}"]] {
        train_on_shapes(folder.path(), &[&["train.seed=3"], settings].concat());
        let found = by_eval(folder.path(), &["run"]);
        assert_eq!(found.len(), 21);
        assert_equal(&found, &by_predict(folder.path(), &["run", "set/val"]));
        seen.push(found);
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    }
    // The first two are one training: only the crop differs, and not for pictures of the network's size.
    for (image, probabilities) in &seen[0] {
        assert_eq!(probabilities == &seen[1][image], image.ends_with("/8x8.png"), "{image}");
    }
}

#[test]
fn a_picture_of_the_networks_size_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &["data.crop=0.5"]);
    let found = by_predict(folder.path(), &["run", "set/val/ape/8x8.png"]);
    // The pixels themselves give the same; a crop of the middle would not.
    let pixels = picture(8, 8, 8).into_raw();
    let array = ndarray::Array4::from_shape_vec((1, 8, 8, 3), pixels).unwrap();
    ndarray_npy::write_npy(folder.path().join("pixels.npy"), &array).unwrap();
    let of_pixels = by_predict(folder.path(), &["run", "pixels.npy"]);
    assert_eq!(found["set/val/ape/8x8.png"], of_pixels["pixels.npy"]);
}

#[test]
fn a_network_of_grey_images_sees_the_same_grey_of_colour_pictures_in_both() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    succeed(mp_train(folder.path(), &[&PLAIN[..], &["data.limit=64", "--data", "digits"]].concat()));
    let found = by_eval(folder.path(), &["run", "--data", "set"]);
    assert_eq!(found.len(), 70);
    assert_equal(&found, &by_predict(folder.path(), &["run", "set/val"]));
}

#[test]
fn damage_is_met_alike_by_both() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &["data.damaged=skip"]);
    let broken = folder.path().join("set/val/bee/broken.jpg");
    let whole = folder.path().join("whole.jpg");
    DynamicImage::from(picture(256, 256, 1)).save_with_format(&whole, ImageFormat::Jpeg).unwrap();
    let bytes = fs::read(&whole).unwrap();
    // Two fifths are missing; a header that promises more pixels than may be.
    let huge = [&bytes[..bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5], &[0xff; 4][..]].concat();
    let huge = [&huge[..], &bytes[huge.len()..]].concat();
    for (content, expected) in [(&bytes[..bytes.len() * 6 / 10], "a damaged JPEG"), (&huge, "at most")] {
        fs::write(&broken, content).unwrap();
        let error = refused(mp_train(folder.path(), &["predict", "run", "set/val/bee/broken.jpg"]));
        assert!(error.contains("broken.jpg") && error.contains(expected), "{error}");
        let shown = succeed(mp_train(folder.path(), &["eval", "run"]));
        assert!(shown.contains(" on 21 ") && shown.contains("1 damaged images skipped, first: "), "{shown}");
        assert!(shown.contains("broken.jpg") && shown.contains(expected), "{shown}");
        let found: Value = serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json"]))).unwrap();
        assert_eq!((&found["images"], &found["skipped"]["images"]), (&21.into(), &1.into()));
    }
}

#[test]
fn eval_tells_classes_apart() {
    let folder = tempfile::tempdir().unwrap();
    succeed(mp_train(folder.path(), &[&PLAIN[..], &["data.limit=96", "--data", "digits"]].concat()));
    let found: Value = serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json"]))).unwrap();
    let sum =
        |list: &Value, key: &str| list.as_array().unwrap().iter().map(|each| each[key].as_u64().unwrap()).sum::<u64>();
    let (images, correct) = (sum(&found["classes"], "images"), sum(&found["classes"], "correct"));
    assert_eq!((Some(images), Some(correct)), (found["images"].as_u64(), found["correct"].as_u64()));
    assert_eq!(sum(&found["confused"], "images"), images - correct);
    let (top_1, top_5) = (found["accuracy"].as_f64().unwrap(), found["top_5_accuracy"].as_f64().unwrap());
    assert!(top_1 <= top_5 && (top_5 * 360.0).fract().min(1.0 - (top_5 * 360.0).fract()) < 1e-6, "{top_5}");

    let table = succeed(mp_train(folder.path(), &["eval", "run", "--classes", "--confusion"]));
    let first = table.lines().next().unwrap();
    assert!(first.contains(&format!("top-5 {:.2}%", 100.0 * top_5)), "{table}");
    assert!(table.contains("most often taken for") && table.contains("class \\ taken for  0"), "{table}");

    let summary: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("run/summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["classes"], &summary["confused"]), (&found["classes"], &found["confused"]));
    assert_eq!(summary["valid_top_5_last"], found["top_5_accuracy"]);
    let report = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(report.contains("<h2>Classes</h2>") && report.contains("top-5 accuracy"));
}

#[test]
fn weights_are_judged_by_a_data_set_whose_classes_fit_their_head() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &[]);
    let checkpoint = "run/checkpoints/last.safetensors";
    let of_run = by_eval(folder.path(), &["run"]);
    let weights = ["--model", "base_cnn_w4", "--weights", checkpoint];
    assert_equal(&of_run, &by_eval(folder.path(), &[&weights[..], &["--data", "set"]].concat()));

    // Weights alone, for the digits: ten classes, which have names only in the data.
    succeed(mp_train(folder.path(), &["weights", "base_cnn_w4", "ten.safetensors"]));
    let ten = ["eval", "--model", "base_cnn_w4", "--weights", "ten.safetensors", "--json", "--data"];
    let found: Value =
        serde_json::from_str(&succeed(mp_train(folder.path(), &[&ten[..], &["digits"]].concat()))).unwrap();
    assert_eq!((&found["images"], &found["classes"][9]["class"]), (&360.into(), &"9".into()));
    let error = refused(mp_train(folder.path(), &[&ten[..], &["set"]].concat()));
    assert!(error.contains("set: images of 3 classes, expected the 10 classes"), "{error}");
    let error = refused(mp_train(folder.path(), &["eval", "--model", "base_cnn_w4", "--weights", "ten.safetensors"]));
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn another_place_of_the_data_is_normalised_as_the_checkpoint_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The same test images; brighter training images on the other side.
    for (name, level) in [("a", 0_u8), ("b", 90)] {
        fs::create_dir(at(name)).unwrap();
        let images = |count: usize, level: u8| {
            ndarray::Array4::from_shape_fn((count, 8, 8, 1), |(n, y, x, _)| {
                level + (n * 31 + y * 7 + x * 3) as u8 % 120
            })
        };
        let labels = |count: usize| ndarray::Array1::from_shape_fn(count, |n| (n % 2) as u8);
        for (split, count, level) in [("train", 24, level), ("test", 10, 0)] {
            ndarray_npy::write_npy(at(name).join(format!("x_{split}.npy")), &images(count, level)).unwrap();
            ndarray_npy::write_npy(at(name).join(format!("y_{split}.npy")), &labels(count)).unwrap();
        }
    }
    succeed(mp_train(folder.path(), &[&PLAIN[..], &["train.batch_size=8", "--data", "./a"]].concat()));
    let loss = |data: &str| -> Value {
        serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json", "--data", data]))).unwrap()
    };
    assert_eq!(loss("./a")["loss"], loss("./b")["loss"]);
}

#[test]
fn classes_that_were_renamed_are_named() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &[]);
    for split in ["train", "val"] {
        fs::rename(
            folder.path().join("set").join(split).join("bee"),
            folder.path().join("set").join(split).join("bug"),
        )
        .unwrap();
    }
    let error = refused(mp_train(folder.path(), &["eval", "run"]));
    assert!(error.contains("set: other classes than the network was trained on: `bug` in place of `bee`"), "{error}");
}

#[test]
fn a_holdout_drawn_from_other_images_is_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &["data.holdout=6"]);
    let eval = |more: &[&str]| mp_train(folder.path(), &[&["eval", "run", "--json"], more].concat());
    let found: Value = serde_json::from_str(&succeed(eval(&[]))).unwrap();
    assert_eq!((&found["split"], &found["images"]), (&"holdout".into(), &6.into()));

    let (copy, added) = (folder.path().join("copy"), folder.path().join("set/train/ape/a.png"));
    let copied = Command::new("cp").arg("-r").args([&folder.path().join("set"), &copy]).status().unwrap();
    assert!(copied.success());
    picture(8, 8, 99).save(&added).unwrap();
    for more in [&[][..], &["--data", "./set"]] {
        let error = refused(eval(more));
        assert!(error.contains("would not be those of the run"), "{error}");
    }
    // Elsewhere, as it was.
    let moved: Value = serde_json::from_str(&succeed(eval(&["--data", "./copy"]))).unwrap();
    assert_eq!(moved["loss"], found["loss"]);
    fs::remove_file(folder.path().join("copy/train/bee/8x8.png")).unwrap();
    assert!(refused(eval(&["--data", "./copy"])).contains("put them back"));
}

#[test]
fn a_folder_without_splits_is_judged_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &[]);
    let of_run = by_eval(folder.path(), &["run"]);
    let eval = |more: &[&str]| -> Value {
        serde_json::from_str(&succeed(mp_train(folder.path(), &[&["eval", "--json"], more].concat()))).unwrap()
    };
    let weights = ["--model", "base_cnn_w4", "--weights", "run/checkpoints/last.safetensors"];
    for source in [&["run"][..], &weights] {
        let found = eval(&[source, &["--data", "set/val"]].concat());
        assert_eq!((&found["split"], &found["images"]), (&"all".into(), &of_run.len().into()));
        // In batches of another size, whose sums are rounded otherwise.
        let difference = found["loss"].as_f64().unwrap() - eval(&["run"])["loss"].as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{difference}");
    }
    let error = refused(mp_train(folder.path(), &["eval", "run", "--data", "set/val", "--split", "test"]));
    assert!(error.contains("no test images"), "{error}");
}

#[test]
fn json_holds_names_as_they_are_and_lines_do_not() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &[]);
    // A soft hyphen, a mark that turns the text around, a delete.
    for name in ["s\u{ad}et", "s\u{202e}et", "s\u{7f}et"] {
        fs::rename(folder.path().join("set"), folder.path().join(name)).unwrap();
        let data = format!("./{name}");
        let json = succeed(mp_train(folder.path(), &["eval", "run", "--json", "--data", &data]));
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["data"], data.as_str());
        let inspected = succeed(mp_train(folder.path(), &["data", "inspect", "--json", &data]));
        assert!(serde_json::from_str::<Value>(&inspected).is_ok(), "{inspected}");
        assert!(!succeed(mp_train(folder.path(), &["eval", "run", "--data", &data])).contains(name));
        fs::rename(folder.path().join(name), folder.path().join("set")).unwrap();
    }
}

#[test]
fn predictions_do_not_replace_the_images_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    shapes(folder.path(), &["ape", "bee", "cat"]);
    train_on_shapes(folder.path(), &[]);
    let image = "set/val/ape/8x8.png";
    let before = fs::read(folder.path().join(image)).unwrap();
    let error = refused(mp_train(folder.path(), &["eval", "run", "--predictions", image, "--force"]));
    assert!(error.contains("a part of the input"), "{error}");
    assert_eq!(fs::read(folder.path().join(image)).unwrap(), before);
}

#[test]
fn averaged_weights_are_judged_and_applied_where_they_were_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_small(folder, "plain");
    let error = refused(mp_train(folder, &["eval", "plain", "--ema"]));
    assert!(error.contains("no averaged weights: the run was trained without [train.ema]"), "{error}");

    let arguments = ["train", "--out", "averaged", "--set", "train.ema={ decay = 0.5 }", "--set", "optimiser.lr=0.05"];
    succeed(mp_train(folder, &[&arguments, &SMALL[..]].concat()));
    let loss = |more: &[&str]| {
        let json = succeed(mp_train(folder, &[&["eval", "averaged", "--json"], more].concat()));
        serde_json::from_str::<Value>(&json).unwrap()["loss"].as_f64().unwrap()
    };
    let csv = fs::read_to_string(folder.join("averaged/metrics.csv")).unwrap();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let metric = |name: &str| {
        let place = names.iter().position(|found| *found == name).unwrap();
        values[place].parse::<f64>().unwrap()
    };
    assert_eq!((loss(&[]), loss(&["--ema"])), (metric("valid/loss"), metric("ema/loss")));
    assert_ne!(metric("valid/loss"), metric("ema/loss"));

    picture(8, 8, 1).save(folder.join("digit.png")).unwrap();
    // CSV has all digits of the probabilities.
    let of_picture = ["predict", "averaged", "digit.png", "--csv"];
    let classified = |more: &[&str]| succeed(mp_train(folder, &[&of_picture[..], more].concat()));
    assert_ne!(classified(&[]), classified(&["--ema"]));
}

#[test]
fn other_routes_than_its_own_judge_what_a_network_owes_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let routed = ["train", "--model", "base_cnn_w4_x2_cc", "--out", "run", "--data", "digits"];
    let quick = ["train.epochs=1", "train.threads=1", "data.limit=96"].map(|set| ["--set", set]).concat();
    succeed(mp_train(folder.path(), &[&routed[..], &quick].concat()));
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&succeed(mp_train(folder.path(), &[arguments, &["--json"]].concat()))).unwrap()
    };
    let worth = &json(&["routes", "run", "--worth"])["worth"];
    assert_eq!((&worth["split"], &worth["images"]), (&"test".into(), &360.into()));
    let weights = ["eval", "--model", "base_cnn_w4_x2_cc", "--weights", "run/checkpoints/last.safetensors"];
    for routes in ["own", "frozen", "shuffled", "uniform"] {
        let of_run = json(&["eval", "run", "--routes", routes]);
        assert_eq!((&of_run["routes"], &of_run["accuracy"]), (&routes.into(), &worth[routes]), "{routes}");
        let of_weights = json(&[&weights[..], &["--data", "digits", "--routes", routes]].concat());
        assert_eq!(of_weights["accuracy"], of_run["accuracy"], "{routes}");
    }
    assert_eq!(json(&["eval", "run"])["routes"], "own");
    assert!(json(&["routes", "run"]).get("worth").is_none());

    let shown = succeed(mp_train(folder.path(), &["eval", "run", "--routes", "shuffled", "--routes-seed", "3"]));
    assert!(shown.contains(" 360 test images of digits, with shuffled routes (seed 3): accuracy "), "{shown}");
    let table = succeed(mp_train(folder.path(), &["routes", "run", "--worth"]));
    assert!(
        table.contains("Accuracy of the last checkpoint on 360 test images by the routes they take\nroutes "),
        "{table}"
    );
    assert!(table.lines().last().unwrap().contains("all weights alike"), "{table}");

    succeed(mp_train(folder.path(), &["weights", "base_cnn_w4", "plain.safetensors"]));
    let plain = ["eval", "--model", "base_cnn_w4", "--weights", "plain.safetensors", "--data", "digits"];
    let error = refused(mp_train(folder.path(), &[&plain[..], &["--routes", "frozen"]].concat()));
    assert!(error.contains("frozen routes: `base_cnn_w4` routes nothing, expected a routed model"), "{error}");
}
