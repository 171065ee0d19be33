use crate::data::Dataset;
use crate::data::picture::middle;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::fs;
use std::path::Path;

const COLOUR: [usize; 3] = [3, 4, 4];
const GREY: [usize; 3] = [1, 4, 4];

/// The picture of the Python lines below: 12 rows and 20 columns.
fn picture() -> RgbImage {
    RgbImage::from_fn(20, 12, |x, y| {
        Rgb([0, 1, 2].map(|c| ((c * 89 + y * 37 + x * 71 + x * y * 13 + c * x * 7) % 256) as u8))
    })
}

fn plain(path: &Path, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(5, 4, Rgb([value; 3])).save(path).unwrap();
}

/// Two classes, `cat` with two pictures and `ant` with one.
fn folder(root: &Path) {
    plain(&root.join("cat/b.png"), 30);
    plain(&root.join("cat/a.png"), 20);
    plain(&root.join("ant/z.bmp"), 10);
}

/// The first value and the class of each picture.
fn summary(data: &Dataset) -> Vec<(u8, usize)> {
    data.iter().map(|example| (example.pixels[0], example.label)).collect()
}

fn error(root: &Path) -> String {
    Dataset::read_folder(root, COLOUR).unwrap_err().to_string()
}

fn near(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).filter(|(a, b)| a.abs_diff(**b) > 1);
    assert_eq!(far.count(), 0, "{found:?}\n{expected:?}");
}

/// Resizing against PIL 13.0.0. Both sum in their own order and roundings: 1 is allowed.
#[test]
fn the_middle_is_resized_as_pil_does() {
    // a = np.array([[[(c * 89 + y * 37 + x * 71 + x * y * 13 + c * x * 7) % 256 for x in range(20)]
    //                for y in range(12)] for c in range(3)], dtype=np.uint8)
    // i = Image.fromarray(a.transpose(1, 2, 0))
    // r = i.crop((4, 0, 16, 12)).resize((4, 4), Image.BILINEAR)
    // print(np.asarray(r).transpose(2, 0, 1).reshape(3, 16).tolist())
    let red = [
        120, 129, 107, 130, 147, 152, 123, 126, 143, 133, 139, 122, 151, 137, 132, 116,
    ];
    let green = [
        134, 139, 109, 135, 148, 152, 112, 115, 122, 142, 134, 126, 121, 143, 124, 101,
    ];
    let blue = [
        100, 117, 115, 113, 124, 98, 133, 123, 124, 119, 151, 109, 131, 117, 120, 142,
    ];
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    picture().save(root.path().join("ant/a.png")).unwrap();
    let data = Dataset::read_folder(root.path(), COLOUR).unwrap();
    near(data.get(0).pixels, &[red, green, blue].concat());
    // np.asarray(i.convert("L").crop((4, 0, 16, 12)).resize((4, 4), Image.BILINEAR)).flatten().tolist()
    let grey = [
        126, 134, 109, 131, 145, 146, 118, 119, 129, 137, 137, 123, 131, 138, 126, 110,
    ];
    near(Dataset::read_folder(root.path(), GREY).unwrap().get(0).pixels, &grey);
}

#[test]
fn grey_pictures_are_resized_as_pil_does() {
    // b = np.array([[y * 37 + x * 71 + x * y * 13 for x in range(2)] for y in range(4)], dtype=np.uint8)
    // r = Image.fromarray(b).crop((0, 1, 2, 3)).resize((4, 4), Image.BILINEAR); np.asarray(r).flatten().tolist()
    let expected = [37, 58, 100, 121, 46, 68, 112, 134, 65, 88, 135, 159, 74, 98, 147, 171];
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let small = GrayImage::from_fn(2, 4, |x, y| Luma([(y * 37 + x * 71 + x * y * 13) as u8]));
    small.save(root.path().join("ant/a.png")).unwrap();
    near(
        Dataset::read_folder(root.path(), GREY).unwrap().get(0).pixels,
        &expected,
    );
    let color = Dataset::read_folder(root.path(), COLOUR).unwrap();
    near(color.get(0).pixels, &[expected; 3].concat());
}

#[test]
fn the_middle_has_the_proportions_asked_for() {
    // Corner and size of (columns, rows).
    assert_eq!(middle((20, 12), (4, 4)), (4, 0, 12, 12));
    assert_eq!(middle((2, 4), (4, 4)), (0, 1, 2, 2));
    assert_eq!(middle((100, 100), (32, 16)), (0, 25, 100, 50));
    assert_eq!(middle((1, 1000), (32, 32)), (0, 499, 1, 1));
    assert_eq!(middle((1000, 1), (1, 1000)), (499, 0, 1, 1));
}

#[test]
fn classes_and_files_come_by_name() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    fs::write(root.path().join("README.txt"), "beside the classes").unwrap();
    fs::write(root.path().join("cat/.hidden"), "no picture").unwrap();
    fs::create_dir(root.path().join(".hidden")).unwrap();
    let data = Dataset::read_folder(root.path(), COLOUR).unwrap();
    assert_eq!(summary(&data), [(10, 0), (20, 1), (30, 1)]);
    assert_eq!(data.names(), ["ant", "cat"]);
    let grey = Dataset::read_folder(root.path(), GREY).unwrap();
    assert_eq!(summary(&grey), [(10, 0), (20, 1), (30, 1)]);
}

#[test]
fn train_and_test_are_taken_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    folder(&root.path().join("train"));
    plain(&root.path().join("test/ant/1.png"), 90);
    plain(&root.path().join("test/cat/1.png"), 91);
    let (training, test) = Dataset::open_folder(root.path(), COLOUR, 0.5, 0).unwrap();
    assert_eq!((training.len(), summary(&test)), (3, vec![(90, 0), (91, 1)]));
    fs::rename(root.path().join("test/cat"), root.path().join("test/dog")).unwrap();
    let message = Dataset::open_folder(root.path(), COLOUR, 0.5, 0)
        .unwrap_err()
        .to_string();
    let expected = "`train` has the classes ant, cat, but `test` has ant, dog";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn otherwise_the_seed_splits() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..6 {
        plain(&root.path().join(format!("a/{index}.png")), index);
        plain(&root.path().join(format!("b/{index}.png")), 100 + index);
    }
    let (training, test) = Dataset::open_folder(root.path(), COLOUR, 1.0 / 3.0, 5).unwrap();
    assert_eq!((training.len(), test.len()), (8, 4));
    let whole = Dataset::read_folder(root.path(), COLOUR).unwrap();
    assert_eq!(whole.split(1.0 / 3.0, 5), (training, test));
}

#[test]
fn names_the_file_that_is_no_picture() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let file = root.path().join("cat/c.png");
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let message = error(root.path());
        assert!(message.starts_with("cannot read the image `"), "{message}");
        assert!(message.contains("c.png`: "), "{message}");
    };
    refused(b"");
    refused(b"some text");
    let whole = fs::read(root.path().join("cat/a.png")).unwrap();
    refused(&whole[..whole.len() / 2]);
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    refused(&damaged);
    // A PNG that says it has 2^31 - 1 columns and rows.
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    refused(&huge);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(error(root.path()).ends_with("c.png`: it is a directory; class folders may contain only files"));
}

#[test]
fn a_jpeg_is_read_whatever_its_name() {
    let root = tempfile::tempdir().unwrap();
    folder(root.path());
    let mut bytes = std::io::Cursor::new(Vec::new());
    let plain = RgbImage::from_pixel(16, 16, Rgb([200; 3]));
    plain.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    fs::write(root.path().join("cat/a.png"), bytes.into_inner()).unwrap();
    let data = Dataset::read_folder(root.path(), COLOUR).unwrap();
    near(data.get(1).pixels, &[200; 48]);
}

#[test]
fn names_what_is_wrong_with_the_classes() {
    let root = tempfile::tempdir().unwrap();
    let message = error(root.path());
    let expected = "expected a folder of images for each class, 1 to 65536; found 0 folders";
    assert!(message.ends_with(expected), "{message}");
    folder(root.path());
    fs::create_dir(root.path().join("dog")).unwrap();
    let message = error(root.path());
    assert!(message.ends_with("dog`: the class has no images"), "{message}");
    let message = Dataset::read_folder(root.path(), [2, 4, 4]).unwrap_err().to_string();
    assert!(message.ends_with("not 2 x 4 x 4"), "{message}");
    let message = error(&root.path().join("nowhere"));
    assert!(
        message.starts_with("cannot read `") && message.contains("nowhere"),
        "{message}"
    );
}
