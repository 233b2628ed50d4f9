//! Tables that say which class each picture has: what is read, and what is refused with its line.

mod common;

use common::{counts, folder, labels, opened, refusal, write};
use tempfile::TempDir;

/// A folder with these pictures and a `train.csv`.
fn listed(paths: &[&str], text: &str) -> TempDir {
    let root = folder(paths);
    write(&root, "train.csv", text);
    root
}

#[test]
fn columns_have_many_names() {
    for (header, first, second) in [
        ("file,label", "1.jpg", "2.jpg"),
        ("filename,class", "images/1.jpg", "./images/2.jpg"),
        ("image_id,label", "1", "2"),
        ("ID,Category", "1.jpg", "2"),
        ("image,target", "1.jpg", "2.jpg"),
        ("\u{feff}path,breed", "images/1", "images/2.jpg"),
        ("File Name,Class Name", "1.jpg", "2.jpg"),
    ] {
        let root = listed(&["images/1.jpg", "images/2.jpg"], &format!("{header}\n{first},dog\r\n\"{second}\",cat\n"));
        let splits = opened(&root);
        assert_eq!(splits.train.classes(), ["cat", "dog"], "{header}");
        assert_eq!(labels(&*splits.train), ["dog", "cat"], "{header}");
        assert_eq!((counts(&splits), splits.ignored.to_string()), ([2, 0, 0], "nothing".to_owned()), "{header}");
        let mut buffer = mp_data::Image::empty();
        assert!((0..2).all(|index| splits.train.image(index, &mut buffer).is_ok()));
    }
}

#[test]
fn columns_may_stand_anywhere_and_be_separated_by_other_signs() {
    for (name, text) in [
        ("labels.csv", "label,weight,file\n10,1,1.jpg\n9,2,2.jpg\n"),
        ("labels.csv", "label;weight;file\n10;1;1.jpg\n9;2;2.jpg\n"),
        ("labels.tsv", "label\tweight\tfile\n10\t1\t1.jpg\n9\t2\t2.jpg\n"),
    ] {
        let root = folder(&["1.jpg", "2.jpg"]);
        write(&root, name, text);
        let splits = opened(&root);
        // Numbers are in the order of numbers.
        assert_eq!(
            (splits.train.classes(), labels(&*splits.train)),
            (&["9", "10"].map(str::to_owned)[..], vec!["10".to_owned(), "9".to_owned()])
        );
        assert_eq!(splits.ignored.to_string(), format!("the columns weight of {name}"));
    }
}

#[test]
fn splits_come_from_lists_or_from_a_column() {
    let paths = ["train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg", "val/1.jpg"];
    // The same names in the folders of the splits.
    let root = listed(&paths, "id,label\n1,a\n2,b\n");
    write(&root, "val.csv", "id,label\n1,b\n");
    write(&root, "test.csv", "id\n1\n2\n");
    write(&root, "sample_submission.csv", "id,label\n1,a\n2,a\n");
    let splits = opened(&root);
    assert_eq!((counts(&splits), labels(&*splits.valid)), ([2, 1, 0], vec!["b".to_owned()]));
    let said = splits.ignored.to_string();
    for part in [
        "sample_submission.csv (an answer sheet)",
        "test.csv (no list of pictures and labels)",
        "test/ (2 pictures that no list names)",
    ] {
        assert!(said.contains(part), "{said}");
    }

    write(&root, "test.csv", "id,label\n1,a\n2,b\n");
    let splits = opened(&root);
    assert_eq!((counts(&splits), labels(&*splits.test)), ([2, 1, 2], vec!["a".to_owned(), "b".to_owned()]));

    let root = listed(
        &["images/1.jpg", "images/2.jpg", "images/3.jpg", "images/4.jpg"],
        "file,label,split\n1.jpg,a,train\n2.jpg,b,Train\n3.jpg,a,val\n4.jpg,b,TEST\n",
    );
    let splits = opened(&root);
    assert_eq!((counts(&splits), labels(&*splits.test)), ([2, 1, 1], vec!["b".to_owned()]));
}

#[test]
fn a_list_may_lie_further_down_and_pictures_in_several_folders() {
    let root = folder(&["archive/part_1/1.jpg", "archive/part_2/2.jpg", "archive/part_2/deep/3.jpg"]);
    write(&root, "archive/labels.csv", "image_id,label\n1,a\n2,b\n3,a\n");
    let splits = opened(&root);
    assert_eq!(labels(&*splits.train), ["a", "b", "a"]);
}

#[test]
fn folders_for_each_class_need_no_list() {
    let root = folder(&["train/a/1.jpg", "train/b/1.jpg", "valid/a/1.jpg"]);
    write(&root, "labels.csv", "name,label\ntrain/a/1.jpg,a\n");
    let splits = opened(&root);
    assert_eq!(counts(&splits), [2, 1, 0]);
    assert_eq!(splits.ignored.to_string(), "labels.csv (a table that is not read)");
}

#[test]
fn a_table_that_names_files_without_labels_is_no_reason_to_take_folders_for_classes() {
    for header in ["lesion_id,image_id,dx", "filename,tags", "id,width,height"] {
        let root = folder(&["part_1/1.jpg", "part_2/2.jpg"]);
        write(&root, "metadata.csv", &format!("{header}\n1,1,nv\n"));
        let found = refusal(&root);
        assert!(found.starts_with("DIR/metadata.csv: line 1: expected the names of columns"), "{found}");
        assert!(found.ends_with(&format!("found no column for labels among {}", header.replace(',', ", "))), "{found}");
    }
    // Another table is none of the pictures' business.
    let root = folder(&["cat/1.jpg", "dog/2.jpg"]);
    write(&root, "results.csv", "epoch,accuracy\n1,0.5\n");
    let splits = opened(&root);
    assert_eq!(splits.train.classes(), ["cat", "dog"]);
    assert_eq!(splits.ignored.to_string(), "results.csv (a table that is not read)");
    // A number beside the name of the file is no second file.
    let root = folder(&["1.jpg", "2.jpg"]);
    write(&root, "train.csv", "id,filename,label\n1,2.jpg,a\n2,1.jpg,b\n");
    let splits = opened(&root);
    assert_eq!((splits.format, splits.train.classes()), (mp_data::Format::List, &["a", "b"].map(str::to_owned)[..]));
}

#[test]
fn every_fault_names_its_line() {
    let paths = ["images/1.jpg", "images/2.jpg", "more/2.jpg", "test/3.jpg"];
    for (text, expected) in [
        (
            "file,label\n1.jpg,a\n9.jpg,b\n",
            "line 3: expected a picture `9.jpg` beside the list or in a folder there, found none",
        ),
        (
            "id,label\n1,a\n\n9,b\n",
            "line 4: expected a picture `9` with one of the endings jpg, jpeg, jpe, jfif, jif, png, webp, bmp, beside the list or in \
             a folder there, found none",
        ),
        (
            "file,label\n1.jpg,a\n2.jpg,b\n",
            "line 3: expected one picture, found images/2.jpg and more/2.jpg: write the folder, too",
        ),
        (
            "file,label\n1.jpg,a\n3.jpg,b\n",
            "line 3: expected a picture `3.jpg` beside the list or in a folder there, found test/3.jpg, in a folder of another split",
        ),
        (
            "file,label\n1.jpg,a\nmore/2.jpg,b\n1.jpg,b\n",
            "line 4: expected another picture than images/1.jpg, found that of line 2",
        ),
        ("file,label\n1.jpg,a\nmore/2.jpg\n", "line 3: expected 2 fields, as line 1 has, found 1"),
        ("file,label\n1.jpg,a\nmore/2.jpg,\n", "line 3: expected text in the column label, found nothing"),
        (
            "file,label\n1.jpg,a\u{202e}b\nmore/2.jpg,b\n",
            "line 2: expected text in the column label, found a\\u{202e}b",
        ),
        ("file,label\n1.jpg,a\nmore/2.jpg,a\n", "line 2: expected labels of two classes or more, found `a` alone"),
        ("file,label\n", "line 2: expected a line for each picture below the names of the columns, found the end"),
        (
            "file,label,set\n1.jpg,a,train\nmore/2.jpg,b,other\n",
            "line 3: expected train, valid or test in the column set, found other",
        ),
        (
            "file,label,set\n1.jpg,a,test\nmore/2.jpg,b,val\n",
            "line 2: expected pictures of the split train, found none",
        ),
    ] {
        assert_eq!(refusal(&listed(&paths, text)), format!("DIR/train.csv: {expected}"), "{text}");
    }

    let header = "DIR/train.csv: line 1: expected the names of columns, one for files (file, filename, path, image, image_id, id, \
                  ...) and one for labels (label, class, category, target, species, breed, ...), found";
    let flat = ["images/1.jpg", "images/2.jpg"];
    for (text, found) in [
        ("1.jpg,a\n2.jpg,b\n", "no column for files among 1.jpg, a"),
        ("file,tags\n1.jpg,a\n", "no column for labels among file, tags"),
        ("label,pixel0,pixel1\n1,0,0\n", "no column for files among label, pixel0, pixel1"),
        ("file,label,set,split\n1.jpg,a,train,train\n", "two columns for splits, set and split: remove or rename one"),
        ("file,label,class\n1.jpg,0,a\n", "two columns for labels, label and class: remove or rename one"),
        ("", "none"),
    ] {
        assert_eq!(refusal(&listed(&flat, text)), format!("{header} {found}"), "{text}");
    }
}

#[test]
fn lists_must_agree() {
    let root = listed(&["1.jpg", "2.jpg", "3.jpg"], "file,label\n1.jpg,a\n2.jpg,b\n");
    write(&root, "val.csv", "file,label\n3.jpg,c\n");
    assert_eq!(refusal(&root), "DIR/val.csv: line 2: expected a label that the training images have too, found `c`");
    write(&root, "val.csv", "file,label\n3.jpg,a\n2.jpg,b\n");
    assert_eq!(
        refusal(&root),
        "DIR/val.csv: line 3: expected another picture than 2.jpg, found that of line 3 of train.csv"
    );
    write(&root, "val.csv", "file,label\n3.jpg,a\n");
    write(&root, "labels.csv", "file,label\n3.jpg,a\n");
    assert_eq!(
        refusal(&root),
        "DIR: expected one list of pictures, or one for each split (train.csv, val.csv, test.csv), found labels.csv and train.csv: \
         move one away"
    );
    std::fs::remove_file(root.path().join("labels.csv")).unwrap();
    std::fs::remove_file(root.path().join("train.csv")).unwrap();
    assert_eq!(refusal(&root), "DIR: expected a list of the training images, such as train.csv, found only val.csv");
}
