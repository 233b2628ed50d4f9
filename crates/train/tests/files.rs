//! Checkpoints and what is predicted from them: good files and bad ones.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::trained;
use mp_nn::{Tensor, load_tensors, save_tensors};
use mp_train::RunFolder;
use mp_train::apply::{Trained, predict};
use mp_train::checkpoint::{self, Which};
use mp_train::weights::WeightFile;
use ndarray::{Array4, array};
use ndarray_npy::write_npy;
use tch::Device;

static RUN: LazyLock<(tempfile::TempDir, RunFolder)> =
    LazyLock::new(|| trained(&["train.epochs=8", "optimiser.lr=0.01"]));

fn last() -> PathBuf {
    checkpoint::last(&RUN.1.checkpoints())
}

fn of_weights(model: &str, file: &Path) -> Result<Trained, String> {
    Trained::of_weights(&model.parse().unwrap(), &WeightFile::new(file), Device::Cpu).map_err(|error| one_line(&error))
}

/// The chain of an error as the binary prints it.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    assert!(!line.contains('\n'), "{line}");
    line
}

/// Sixteen of the validation digits, u8 `[B, H, W, C]`, with their labels.
fn digits() -> (Array4<u8>, Vec<usize>) {
    let test = mp_data::open("digits", Path::new("")).unwrap().test;
    let mut buffer = mp_data::Image::empty();
    let mut pixels = Vec::new();
    (0..16).for_each(|index| pixels.extend_from_slice(test.image(index, &mut buffer).unwrap().pixels()));
    (Array4::from_shape_vec((16, 8, 8, 1), pixels).unwrap(), (0..16).map(|index| test.label(index)).collect())
}

#[test]
fn a_checkpoint_of_another_model_is_named() {
    let message = of_weights("base_cnn_w4_x2_cp", &last()).err().unwrap();
    let expected = "last.safetensors: a checkpoint of `base_cnn_w4_x2_cc`, expected one of `base_cnn_w4_x2_cp`";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn a_run_folder_whose_recipe_was_changed_is_another_model_too() {
    let root = tempfile::tempdir().unwrap();
    let recipe = common::recipe(&["model.name=base_cnn_w8"]);
    let folder = RunFolder::create(root.path(), &recipe).unwrap();
    fs::copy(last(), checkpoint::last(&folder.checkpoints())).unwrap();
    let message = one_line(&Trained::of_run(&folder, Which::Last, Device::Cpu).err().unwrap());
    assert!(message.ends_with("a checkpoint of `base_cnn_w4_x2_cc`, expected one of `base_cnn_w8`"), "{message}");
    let message = one_line(&Trained::of_run(&folder, Which::Best, Device::Cpu).err().unwrap());
    assert!(message.contains("has no checkpoints/best.safetensors yet"), "{message}");
}

#[test]
fn a_checkpoint_cut_short_anywhere_is_refused() {
    let whole = fs::read(last()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("cut.safetensors");
    let mut lengths = vec![0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1];
    lengths.extend((0..whole.len()).step_by(whole.len() / 50));
    for length in lengths {
        fs::write(&path, &whole[..length]).unwrap();
        let message = of_weights("base_cnn_w4_x2_cc", &path).err().unwrap();
        assert!(message.contains("cut.safetensors is not a whole safetensors file"), "{length} bytes: {message}");
    }
}

#[test]
fn a_header_of_another_version_or_form_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("edited.safetensors");
    let file = load_tensors(&last()).unwrap();
    let tensors: Vec<(String, Tensor)> = file.tensors.into_iter().collect();
    let header = &file.metadata["multipath"];
    for (text, expected) in [
        (header.replacen("\"format\":2", "\"format\":3", 1), "checkpoint of format 3, expected 1 to 2"),
        (header.replacen("\"position\"", "\"posit\"", 1), "missing field `position`"),
        ("{".to_owned(), "EOF while parsing"),
    ] {
        save_tensors(&path, &tensors, HashMap::from([("multipath".to_owned(), text)])).unwrap();
        let message = of_weights("base_cnn_w4_x2_cc", &path).err().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}

/// A small version of `flips` in `soak.rs`.
#[test]
fn a_single_flipped_bit_is_refused_wherever_it_is() {
    use std::os::unix::fs::FileExt;
    let whole = fs::read(last()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("flipped.safetensors");
    fs::write(&path, &whole).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    // A bit of each byte of the header, and 300 of the numbers.
    let of_numbers = (0..300).map(|k| header + k * (whole.len() - header) / 300);
    for byte in (0..header).chain(of_numbers) {
        file.write_at(&[whole[byte] ^ (1 << (byte % 8))], byte as u64).unwrap();
        let Err(error) = checkpoint::Checkpoint::load(&path) else { panic!("byte {byte} was changed without notice") };
        let message = one_line(&error);
        assert!(message.contains("is damaged: ") || message.contains("is not a whole safetensors file"), "{message}");
        file.write_at(&[whole[byte]], byte as u64).unwrap();
    }
    checkpoint::Checkpoint::load(&path).unwrap();
}

#[test]
fn checkpoints_of_the_first_format_are_still_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("first.safetensors");
    let file = load_tensors(&last()).unwrap();
    let mut header: serde_json::Value = serde_json::from_str(&file.metadata["multipath"]).unwrap();
    header["format"] = 1.into();
    header.as_object_mut().unwrap().remove("origin");
    write_unchecked(&path, &file.tensors, &header.to_string());
    assert!(!load_tensors(&path).unwrap().checked);
    of_weights("base_cnn_w4_x2_cc", &path).unwrap();

    // Format 2 always has a checksum: without it, another program has written the file.
    header["format"] = 2.into();
    write_unchecked(&path, &file.tensors, &header.to_string());
    let message = of_weights("base_cnn_w4_x2_cc", &path).err().unwrap();
    assert!(message.contains("first.safetensors: its checksum is missing"), "{message}");
}

/// A file as the safetensors library writes it.
fn write_unchecked(path: &Path, tensors: &std::collections::BTreeMap<String, Tensor>, header: &str) {
    use safetensors::tensor::{Dtype, TensorView};
    let numbers: Vec<(String, Vec<usize>, Vec<u8>, Dtype)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = match tensor.kind() {
                mp_nn::Kind::Float => Dtype::F32,
                mp_nn::Kind::Double => Dtype::F64,
                mp_nn::Kind::Int64 => Dtype::I64,
                kind => panic!("{name} is of {kind:?}"),
            };
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
            (name.clone(), tensor.size().iter().map(|size| *size as usize).collect(), bytes, dtype)
        })
        .collect();
    let views = numbers
        .iter()
        .map(|(name, shape, bytes, dtype)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let metadata = HashMap::from([("multipath".to_owned(), header.to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).unwrap();
}

#[test]
fn plain_weights_are_taken_by_name_and_shape() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("plain.safetensors");
    // The model as the zoo makes it for its native input: one channel, 28x28, ten classes, as the digits but for the size.
    let file = load_tensors(&last()).unwrap();
    let weights: Vec<(String, Tensor)> = file.tensors.into_iter().filter(|(name, _)| !name.contains('/')).collect();
    save_tensors(&path, &weights, HashMap::new()).unwrap();
    let plain = of_weights("base_cnn_w4_x2_cc", &path).unwrap();
    assert_eq!((plain.identity.size, plain.identity.classes.len()), (28, 10));

    save_tensors(&path, &weights[1..], HashMap::new()).unwrap();
    let message = of_weights("base_cnn_w4_x2_cc", &path).err().unwrap();
    let expected = format!("by the names of `base_cnn_w4_x2_cc`, which come nearest, 1 missing ({})", weights[0].0);
    assert!(message.contains("weights of another model than") && message.ends_with(&expected), "{message}");
}

#[test]
fn pictures_arrays_of_pixels_and_normalised_arrays_give_the_same_logits() {
    let root = tempfile::tempdir().unwrap();
    let trained = Trained::of_run(&RUN.1, Which::Best, Device::Cpu).unwrap();
    let (pixels, labels) = digits();

    let array = root.path().join("pixels.npy");
    write_npy(&array, &pixels).unwrap();
    let pictures: Vec<PathBuf> = (0..pixels.dim().0)
        .map(|index| {
            let path = root.path().join(format!("{index}.png"));
            let one = pixels.index_axis(ndarray::Axis(0), index).iter().copied().collect();
            image::GrayImage::from_raw(8, 8, one).unwrap().save(&path).unwrap();
            path
        })
        .collect();
    let of_array = predict::read(&[array], &trained.identity).unwrap();
    let of_pictures = predict::read(&pictures, &trained.identity).unwrap();
    assert_eq!(of_array.size(), [16, 1, 8, 8]);
    assert!(of_array.equal(&of_pictures));

    let normalised = root.path().join("normalised.npy");
    let values: Vec<f32> = of_array.contiguous().view(-1).try_into().unwrap();
    write_npy(&normalised, &Array4::from_shape_vec((16, 1, 8, 8), values).unwrap()).unwrap();
    let logits = predict::logits(&trained, &of_array);
    // The same numbers in another order in memory: libtorch may add them up in another order too.
    let of_normalised = predict::logits(&trained, &predict::read(&[normalised], &trained.identity).unwrap());
    assert!(of_normalised.allclose(&logits, 1e-5, 1e-5, false));

    let top = predict::top(&logits, 3, &trained.identity);
    let right = top.iter().zip(&labels).filter(|(choices, label)| choices[0].class == label.to_string()).count();
    assert!(right > 8, "{right} of 16 digits are classified right");
    for choices in &top {
        assert_eq!(choices.len(), 3);
        assert!(choices.is_sorted_by(|a, b| a.probability >= b.probability), "{choices:?}");
    }
}

#[test]
fn a_picture_is_cut_to_its_middle_and_scaled() {
    let root = tempfile::tempdir().unwrap();
    let trained = Trained::of_run(&RUN.1, Which::Best, Device::Cpu).unwrap();
    // Twice as wide as high, black at its sides: only white is left, as the filter reaches 4 pixels out of the middle 32.
    let picture = image::GrayImage::from_fn(64, 32, |x, _| image::Luma([if (12..52).contains(&x) { 255 } else { 0 }]));
    let path = root.path().join("wide.png");
    picture.save(&path).unwrap();
    let image = predict::read(&[path], &trained.identity).unwrap();
    let white = (1.0 - f64::from(trained.identity.mean[0])) / f64::from(trained.identity.std[0]);
    assert_eq!(image.size(), [1, 1, 8, 8]);
    assert!(
        (image.min().double_value(&[]) - white).abs() < 1e-5 && (image.max().double_value(&[]) - white).abs() < 1e-5
    );
}

#[test]
fn numbers_that_are_no_pixels_are_refused_with_their_place() {
    let root = tempfile::tempdir().unwrap();
    let trained = Trained::of_run(&RUN.1, Which::Best, Device::Cpu).unwrap();
    let path = root.path().join("values.npy");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 255.0, -1e30] {
        let mut values = Array4::<f32>::zeros((3, 1, 8, 8));
        values[[2, 0, 5, 7]] = value;
        write_npy(&path, &values).unwrap();
        let message = one_line(&predict::read(std::slice::from_ref(&path), &trained.identity).unwrap_err());
        let expected = format!("values.npy: the value at [2, 0, 5, 7] is {value}, where pixels are ");
        assert!(message.contains(&expected) && message.contains("or uint8 pixels"), "{message}");
    }
    // What noise adds to a pixel is not absurd.
    write_npy(&path, &Array4::<f32>::from_elem((1, 1, 8, 8), 9.0)).unwrap();
    let _ = predict::read(&[path], &trained.identity).unwrap();
}

#[test]
fn a_checkpoint_knows_its_crop_and_an_older_one_takes_the_recipes() {
    let (_root, folder) = trained(&["data.crop=0.75", "train.epochs=1", "data.limit=32"]);
    let path = checkpoint::last(&folder.checkpoints());
    let crop = || Trained::of_run(&folder, Which::Last, Device::Cpu).unwrap().identity.crop;
    assert_eq!(crop(), Some(0.75));

    let mut file = load_tensors(&path).unwrap();
    let mut header: serde_json::Value = serde_json::from_str(&file.metadata["multipath"]).unwrap();
    assert_eq!(header["identity"].as_object_mut().unwrap().remove("crop"), Some(0.75.into()));
    file.metadata.insert("multipath".to_owned(), header.to_string());
    save_tensors(&path, &file.tensors.into_iter().collect::<Vec<_>>(), file.metadata).unwrap();
    assert_eq!(crop(), Some(0.75));
    // On its own, an old file has nothing to ask.
    assert_eq!(of_weights("base_cnn_w4_x2_cc", &path).unwrap().identity.crop, None);
}

#[test]
fn the_number_of_classes_is_that_of_the_head() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("plain.safetensors");
    // One path, three merged paths and an ensemble, whose heads have other names and numbers of tensors.
    for (model, classes) in [("base_cnn_w4", 3), ("base_cnn_w4_x3_cc", 17), ("base_cnn_w4_e2", 1)] {
        let store = mp_nn::Store::new(tch::Device::Cpu, 1);
        let input = mp_zoo::InputSize { channels: 1, size: 28, classes };
        mp_zoo::build(model, &mp_zoo::ModelOptions::new(input), &store.root()).unwrap();
        store.save(&path).unwrap();
        let found = of_weights(model, &path).unwrap();
        assert_eq!(found.identity.classes, (0..classes).map(|class| class.to_string()).collect::<Vec<_>>(), "{model}");
        assert!(!found.names_classes);
    }
    // Without a head nothing says it.
    let headless: Vec<_> =
        load_tensors(&path).unwrap().tensors.into_iter().filter(|(name, _)| !name.contains("fc")).collect();
    save_tensors(&path, &headless, HashMap::new()).unwrap();
    let message = of_weights("base_cnn_w4_e2", &path).err().unwrap();
    assert!(message.contains("missing"), "{message}");
}

#[test]
fn what_cannot_be_classified_is_named_with_what_was_expected() {
    let root = tempfile::tempdir().unwrap();
    let trained = Trained::of_run(&RUN.1, Which::Best, Device::Cpu).unwrap();
    let path = |name: &str| root.path().join(name);
    fs::write(path("text.png"), "not a picture").unwrap();
    fs::write(path("text.npy"), "not an array").unwrap();
    // A header of 118 bytes that promises 10^12 images, and no data.
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1, 8, 8), }");
    fs::write(path("huge.npy"), [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat()).unwrap();
    write_npy(path("integers.npy"), &array![[[[1_i64]]]]).unwrap();
    write_npy(path("flat.npy"), &array![1.0_f32, 2.0]).unwrap();
    write_npy(path("large.npy"), &Array4::<f32>::zeros((2, 3, 32, 32))).unwrap();
    write_npy(path("none.npy"), &Array4::<f32>::zeros((0, 1, 8, 8))).unwrap();
    let shapes = "expected float32 [B, 1, 8, 8] or uint8 pixels [B, 8, 8, 1]";
    for (name, expected) in [
        ("missing.png", "cannot read"),
        ("text.png", "expected a JPEG, PNG, WebP or BMP picture"),
        ("text.npy", shapes),
        ("huge.npy", shapes),
        ("integers.npy", shapes),
        ("flat.npy", shapes),
        ("large.npy", "an array of shape [2, 3, 32, 32]: expected float32 [B, 1, 8, 8]"),
        ("none.npy", "none.npy: no images, expected at least one"),
    ] {
        let message = one_line(&predict::read(&[path(name)], &trained.identity).unwrap_err());
        assert!(message.contains(expected) && message.contains(name), "{name}: {message}");
    }
}
