//! The changes' arithmetic against PIL 13.0.0 through torchvision 0.29.2, byte for byte. The pictures and the
//! numbers come from
//!
//! ```python
//! import math, zlib, numpy as np, torchvision.transforms.functional as F
//! from PIL import Image
//! from torchvision.transforms import autoaugment as A, InterpolationMode as I
//! def picture(c, h, w):
//!     return np.array([[[(k * 89 + y * 37 + x * 71 + x * y * 13 + k * x * 7) % 256 for x in range(w)]
//!                       for y in range(h)] for k in range(c)], dtype=np.uint8)
//! def pil(a): return Image.fromarray(a.transpose(1, 2, 0) if a.shape[0] == 3 else a[0])
//! def back(i):
//!     a = np.asarray(i); return a.transpose(2, 0, 1) if a.ndim == 3 else a[None]
//! def show(f):  # three planes of a 4x5 picture, then the CRC-32 of larger pictures, in colour and grey
//!     print([plane.tobytes().hex() for plane in back(f(pil(picture(3, 4, 5))))],
//!           *(zlib.crc32(back(f(pil(picture(*s)))).tobytes()) for s in [(3, 32, 32), (1, 32, 24)]))
//! ```

use super::erase::Erasing;
use super::mix::{cutmix, mixup};
use super::{Augment, Cutout, Mix, Operation, Picture, RandAugment, Scaling, TimmRandAugment, smooth};
use crate::recipe::{self, Recipe};
use crate::source::HostBatch;
use flate2::Crc;

/// The picture of the Python lines above.
pub(super) fn picture(channels: usize, height: usize, width: usize) -> Picture {
    let pixels = (0..channels * height * width).map(|i| {
        let (c, y, x) = (i / (height * width), i / width % height, i % width);
        ((c * 89 + y * 37 + x * 71 + x * y * 13 + c * x * 7) % 256) as u8
    });
    Picture::new(channels, height, width, pixels.collect())
}

pub(super) fn crc(picture: &Picture) -> u32 {
    let mut crc = Crc::new();
    crc.update(&picture.pixels);
    crc.sum()
}

fn changed(mut picture: Picture, change: impl Fn(&mut Picture)) -> Picture {
    change(&mut picture);
    picture
}

/// Compares with what `show` prints for the same change.
fn check(change: impl Fn(&mut Picture), planes: [&str; 3], color: u32, grey: u32) {
    let small = changed(picture(3, 4, 5), &change);
    let hex: String = small.pixels.iter().map(|pixel| format!("{pixel:02x}")).collect();
    assert_eq!(hex, planes.concat());
    assert_eq!(crc(&changed(picture(3, 32, 32), &change)), color);
    assert_eq!(crc(&changed(picture(1, 32, 24), &change)), grey);
}

#[test]
fn the_pictures_are_those_of_the_python_lines() {
    let planes = [
        "00478ed51c2579cd21754aab0c6dce6fdd4bb927",
        "59a7f543917ed9348feaa30b73db43c83db2279c",
        "b2075cb106d7399bfd5ffc6bda49b8219d199511",
    ];
    // show(lambda i: i); the large grey one is also that of a saturation, which leaves grey as it is.
    check(|_| (), planes, 504_626_096, 2_894_214_892);
}

#[test]
fn brightness_is_that_of_pil() {
    // show(lambda i: F.adjust_brightness(i, 0.4)), ... 1.9
    let darker = [
        "001c38550b0e30520d2e1d44042b522c581e4a0f",
        "2342621a3a325614395d41042e571a5018470f3e",
        "470224460256163e6526642a571d490d3e0a3b06",
    ];
    check(|p| p.brightness(0.4), darker, 435_287_342, 3_920_746_450);
    let lighter = [
        "0086ffff3546e5ff3ede8cff16cfffd2ff8eff4a",
        "a9ffff7fffefff62ffffff14daff7fff73ff4aff",
        "ff0daeff0bff6cffffb4ffcbff8aff3eff2fff20",
    ];
    check(|p| p.brightness(1.9), lighter, 2_987_057_761, 719_405_015);
}

#[test]
fn contrast_is_that_of_pil() {
    // show(lambda i: F.adjust_contrast(i, 0.3)), ... 1.7
    let less = [
        "586d829860637c95627b6e8b5b7896799a6e8f63",
        "728aa16c837e9967839e895b7a996c946a8d6387",
        "8d5a738d5a986986a474a378996e8f62875f845d",
    ];
    check(|p| p.contrast(0.3), less, 3_908_593_805, 3_418_833_657);
    let more = [
        "002099ff000075ff006e25ca0061ff64ff27e200",
        "3fc3ff199e7eff009affbc006bff19fb0fd600b1",
        "d60044d400ff08afff49ff5dff23e000b200a500",
    ];
    check(|p| p.contrast(1.7), more, 1_244_573_711, 3_535_744_039);
}

#[test]
fn saturation_is_that_of_pil() {
    // show(lambda i: F.adjust_saturation(i, 0.2)), ... 1.8
    let less = [
        "3a6eba8d505fa08069a9845a4f9d8a918c77715b",
        "4c81ce6f6871b3617fc1963a63b36fa36c8b5373",
        "5e61b0854c83937695a5a84d789586817f6d6957",
    ];
    check(|p| p.saturation(0.2), less, 4_142_221_741, 2_894_214_892);
    let more = [
        "001f62ff000051ff00400ffb003dff4cff1fff00",
        "65ccff16b98afe069fffaf0082ff17ec0dd800c4",
        "ff0008dc00ff00bfff18ff88ff00e900ba00c000",
    ];
    check(|p| p.saturation(1.8), more, 2_494_102_312, 2_894_214_892);
}

#[test]
fn sharpness_is_that_of_pil() {
    // show(lambda i: F.adjust_sharpness(i, 0.1)), ... 1.9
    let less = [
        "00478ed51c25679756754a87536dce6fdd4bb927",
        "59a7f543917ea3698feaa35273a543c83db2279c",
        "b2075cb106d76e89b55ffc7da46cb8219d199511",
    ];
    check(|p| p.sharpness(0.1), less, 3_205_857_169, 2_842_889_849);
    let more = [
        "00478ed51c258bff00754ace006dce6fdd4bb927",
        "59a7f543917eff008feaa30073ff43c83db2279c",
        "b2075cb106d703adff5ffc59ff25b8219d199511",
    ];
    check(|p| p.sharpness(1.9), more, 3_158_973_567, 2_314_694_243);
}

#[test]
fn hue_is_that_of_pil() {
    // show(lambda i: F.adjust_hue(i, 0.3)), ... -0.1
    let up = [
        "b2075cd506d739c0fd5ffc93da49ce22c519b911",
        "0069afd33a259bcd22944aab0d8ec393dd6cb745",
        "82a7f54491a7d934c2eacc0ba2db43c83eb2279c",
    ];
    check(|p| p.hue(0.3), up, 2_373_365_818, 2_894_214_892);
    let down = [
        "00a5e8a06f25d7a422c84a8b0dc592c8bda5847a",
        "b2a7f54491d7d934fdeafc0bdadb43be3eb2279c",
        "9f075cd506c439cde65fe9abc449ce22dd19b911",
    ];
    check(|p| p.hue(-0.1), down, 2_018_254_049, 2_894_214_892);
}

/// All colours of 52 reds, greens and blues each.
#[test]
fn hues_of_all_colours_are_those_of_pil() {
    // v = np.arange(0, 256, 5)
    // a = np.stack(np.meshgrid(v, v, v, indexing="ij")).reshape(3, 52, 52 * 52).astype(np.uint8)
    // for h in (0.0, 0.25, -0.4): print(zlib.crc32(back(F.adjust_hue(pil(a), h)).tobytes()))
    let part = |place: u32| (0..52_u32.pow(3)).map(move |i| (i / 52_u32.pow(place) % 52 * 5) as u8);
    let all = Picture::new(3, 52, 52 * 52, part(2).chain(part(1)).chain(part(0)).collect());
    for (turn, expected) in [(0.0, 114_747_501), (0.25, 2_089_487_796), (-0.4, 3_160_387_607)] {
        assert_eq!(crc(&changed(all.clone(), |p| p.hue(turn))), expected, "{turn}");
    }
}

#[test]
fn tables_of_values_are_those_of_pil() {
    // show(lambda i: F.posterize(i, 3)); show(lambda i: F.solarize(i, 100)); show(F.autocontrast)
    let posterized = [
        "004080c0002060c0206040a00060c060c040a020",
        "40a0e0408060c02080e0a00060c040c020a02080",
        "a00040a000c02080e040e060c040a02080008000",
    ];
    check(|p| p.posterize(3), posterized, 3_896_556_166, 2_756_044_152);
    let solarized = [
        "0047712a1c258632218a4a540c923190224b4627",
        "59580a436e81263470155c0b8c2443373d4d2763",
        "4d075c4e06283964025f03942549472162196a11",
    ];
    check(|p| p.solarize(100.0), solarized, 3_880_326_281, 4_253_568_721);
    let stretched = [
        "0051a3f5202a8bec268755c50d7ded80fe56d52c",
        "54aafe3d927de02c8ff3a50071e23dcd36b51e9e",
        "b10158b000d73499ff5bfd68da45b71b9b13930b",
    ];
    check(Picture::auto_contrast, stretched, 504_626_096, 2_894_214_892);
}

#[test]
fn histograms_are_changed_as_pil_does() {
    // dim = picture(3, 32, 32) // 2 + 20; squares = (picture(3, 32, 32).astype(int) ** 2 // 400).astype(np.uint8)
    // print(zlib.crc32(back(F.autocontrast(pil(dim))).tobytes()))
    // print(*(zlib.crc32(back(F.equalize(pil(a))).tobytes()) for a in (dim, squares)))
    let mut dim = picture(3, 32, 32);
    dim.pixels.iter_mut().for_each(|pixel| *pixel = *pixel / 2 + 20);
    let mut squares = picture(3, 32, 32);
    for pixel in &mut squares.pixels {
        *pixel = (u32::from(*pixel).pow(2) / 400) as u8;
    }
    assert_eq!(crc(&changed(dim.clone(), Picture::auto_contrast)), 2_842_731_821);
    assert_eq!(crc(&changed(dim, Picture::equalize)), 1_149_596_006);
    assert_eq!(crc(&changed(squares, Picture::equalize)), 3_199_909_367);
}

#[test]
fn pictures_of_one_value_stay() {
    let plain = Picture::new(3, 8, 8, vec![77; 192]);
    assert_eq!(changed(plain.clone(), Picture::equalize), plain);
    assert_eq!(changed(plain.clone(), Picture::auto_contrast), plain);
}

#[test]
fn rotation_is_that_of_pil() {
    // show(lambda i: F.rotate(i, 30)), ... -12
    let left = [
        "008ed575754779cd6dce25790c6db94a4add4b00",
        "00f543eaeaa7d934db437ed973db27a3a33db200",
        "005cb15f5f07399b49b8d739da4995fcfc9d1900",
    ];
    check(|p| p.rotate(30.0), left, 3_371_400_563, 3_630_185_805);
    let right = [
        "00478ed51c2579cd21754aab0c6dce6fdd4bb927",
        "59a7f543917ed9348feaa30b73db43c83db2279c",
        "b2075cb106d7399bfd5ffc6bda49b8219d199511",
    ];
    check(|p| p.rotate(-12.0), right, 761_924_739, 1_119_897_027);
}

/// The changes of RandAugment that go either way, at four strengths.
#[test]
fn signed_operations_are_those_of_torchvision() {
    use Operation::*;
    // for s in (0.9, -0.9, 0.3, 1.0):
    //     m = [0.3 * s] * 2 + [150 / 331 * 32 * s] * 2 + [30 * s] + [0.9 * s] * 4
    //     names = "ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness".split()
    //     print([zlib.crc32(back(A._apply_op(pil(picture(3, 32, 32)), n, v, I.NEAREST, None)).tobytes())
    //            for n, v in zip(names, m)])
    let operations = [
        ShearX, ShearY, TranslateX, TranslateY, Rotate, Brightness, Color, Contrast, Sharpness,
    ];
    let expected: [(f64, [u32; 9]); 4] = [
        (
            0.9,
            [
                3762766338, 1281302905, 1797630421, 2102618943, 2421691171, 1165876023, 3481018607, 894310737,
                2276181649,
            ],
        ),
        (
            -0.9,
            [
                815579310, 3735382298, 1687098596, 4032135154, 3781782829, 3786995106, 3481814070, 1471879907,
                2556616280,
            ],
        ),
        (
            0.3,
            [
                4016487614, 1621385850, 2878159390, 1104733373, 1483864365, 808382175, 3018801199, 3427230930,
                1387696010,
            ],
        ),
        (
            1.0,
            [
                543362803, 3963674712, 1257459675, 3824243848, 3371400563, 2987057761, 1494576705, 142321872,
                3158973567,
            ],
        ),
    ];
    for (strength, sums) in expected {
        for (operation, sum) in operations.into_iter().zip(sums) {
            let result = changed(picture(3, 32, 32), |p| operation.perform(p, strength));
            assert_eq!(crc(&result), sum, "{operation:?} {strength}");
            assert!(operation.is_signed());
        }
    }
}

/// The changes that go one way, with torchvision's default of 31 levels.
#[test]
fn unsigned_operations_are_those_of_torchvision() {
    use Operation::*;
    // space = A.RandAugment()._augmentation_space(31, (32, 32))
    // for k in (3, 9, 27, 30):
    //     for n in ("Posterize", "Solarize", "Equalize"):
    //         m = float(space[n][0][k]) if space[n][0].ndim else 0.0
    //         print(zlib.crc32(back(A._apply_op(pil(picture(3, 32, 32)), n, m, I.NEAREST, None)).tobytes()))
    let expected = [
        (3, [504_626_096, 4_079_330_142]),
        (9, [3_724_274_712, 527_368_950]),
        (27, [1_801_830_942, 3_561_408_550]),
        (30, [1_801_830_942, 3_295_677_154]),
    ];
    for (level, [posterized, solarized]) in expected {
        let strength = f64::from(level) / 30.0;
        let sums = [
            (Posterize, posterized),
            (Solarize, solarized),
            (Equalize, 1_923_703_269),
        ];
        for (operation, sum) in sums {
            let result = changed(picture(3, 32, 32), |p| operation.perform(p, strength));
            assert_eq!(crc(&result), sum, "{operation:?} {level}");
            assert!(!operation.is_signed());
        }
    }
}

#[test]
fn strengths_are_parts_of_the_greatest() {
    assert_eq!(RandAugment::default().strength, 0.9);
    assert_eq!(RandAugment::of_thirty(9.0).strength, 0.3);
    assert_eq!(RandAugment::of_ten(12.0).strength, 1.0);
}

/// What a recipe asks for happens, and what it does not ask for does not.
#[test]
fn recipes_become_changes() {
    let scaling = Scaling {
        mean: vec![125.3, 122.9, 113.9],
        deviation: vec![63.0, 62.1, 66.7],
    };
    let text = |augment: recipe::Augment| format!("{:?}", Augment::of(&augment, &scaling));
    let none = Augment::none();
    assert_eq!(text(recipe::Augment::default()), format!("{none:?}"));
    assert_eq!(text(Recipe::se_resnet().augment), format!("{:?}", Augment::cifar()));
    let mix = Mix {
        mixup: 0.5,
        cutmix: 0.5,
        ..Mix::default()
    };
    let timm = TimmRandAugment {
        magnitude: 9.0,
        deviation: 0.5,
        fill: vec![125, 123, 114],
    };
    let conv_mixer = Augment::cifar()
        .then(timm)
        .erase(Erasing::timm(0.25))
        .mix(mix)
        .smooth(0.1);
    assert_eq!(text(Recipe::convmixer().augment), format!("{conv_mixer:?}"));
    let torchvision = recipe::Augment {
        rand_augment: 9.0,
        erase: 0.25,
        ..recipe::Augment::default()
    };
    let erasing = Erasing {
        probability: 0.25,
        ..Erasing::default()
    };
    let as_torchvision = Augment::none().then(RandAugment::of_ten(9.0)).erase(erasing);
    assert_eq!(text(torchvision), format!("{as_torchvision:?}"));
    let smooth = recipe::Augment {
        smoothing: 0.1,
        ..recipe::Augment::default()
    };
    assert_eq!(text(smooth), format!("{:?}", none.smooth(0.1)));
}

#[test]
fn pictures_move_and_flip() {
    let start = Picture::new(1, 2, 3, vec![1, 2, 3, 4, 5, 6]);
    let result = |change: &dyn Fn(&mut Picture)| changed(start.clone(), change).pixels;
    assert_eq!(result(&|p| p.flip()), [3, 2, 1, 6, 5, 4]);
    assert_eq!(result(&|p| p.moved(1, 0)), [0, 1, 2, 0, 4, 5]);
    assert_eq!(result(&|p| p.moved(-1, 1)), [0, 0, 0, 2, 3, 0]);
    assert_eq!(result(&|p| p.moved(1 << 31, 0)), [0; 6]);
    assert_eq!(result(&|p| p.affine([f64::MAX; 6])), [0; 6]);
    assert_eq!(result(&|p| p.affine([f64::MIN; 6])), [0; 6]);
}

#[test]
fn rectangles_to_erase_are_those_of_torchvision() {
    // torchvision's RandomErasing.get_params: h = int(round(math.sqrt(erase_area * aspect_ratio))),
    // w = int(round(math.sqrt(erase_area / aspect_ratio))), and `if not (h < img_h and w < img_w): continue`.
    // for a, r in ((0.02, 1.0), (0.33, 3.3), (0.1, 0.3), (0.25, 1.0), (0.25, 4.0)):
    //     e = 32 * 32 * a; print(int(round(math.sqrt(e * r))), int(round(math.sqrt(e / r))))
    let rectangle = |area, ratio| Erasing::rectangle((32, 32), area, ratio);
    assert_eq!(rectangle(0.02, 1.0), Some((5, 5)));
    assert_eq!(rectangle(0.1, 0.3), Some((6, 18)));
    assert_eq!(rectangle(0.25, 1.0), Some((16, 16)));
    assert_eq!(rectangle(0.33, 3.3), None, "33 rows and 10 columns");
    assert_eq!(rectangle(0.25, 4.0), None, "32 rows are not fewer than 32");
}

#[test]
fn squares_are_cut_at_the_borders() {
    // DeVries & Taylor: rows from clip(y - 8, 0, h) to clip(y + 8, 0, h).
    let square = |row, column| Cutout { side: 16 }.square((32, 24), row, column);
    assert_eq!(square(16, 12), (8..24, 4..20));
    assert_eq!(square(0, 23), (0..8, 15..24));
    let odd = Cutout { side: 3 }.square((32, 24), 5, 5);
    assert_eq!(odd, (4..7, 4..7));
}

/// Three images of 2x2 values and targets of three classes.
fn batch() -> HostBatch {
    let mut targets = vec![0.0; 9];
    (targets[2], targets[3], targets[7]) = (1.0, 1.0, 1.0);
    HostBatch {
        images: (1..=12).map(|value| value as f32).collect(),
        targets,
        labels: vec![2, 0, 1],
    }
}

#[test]
fn mixup_is_that_of_torchvision() {
    // x = torch.arange(1.0, 13).reshape(3, 1, 2, 2); m = v2.MixUp(num_classes=3)
    // m.transform(x, dict(labels=torch.tensor([2, 0, 1]), batch_size=3, lam=0.75)).flatten().tolist()
    // and the same of the labels, with torchvision.transforms.v2 as v2
    let mut mixed = batch();
    mixup(&mut mixed, 0.75);
    let images = [3.0, 4.0, 5.0, 6.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];
    assert_eq!(mixed.images, images);
    assert_eq!(mixed.targets, [0.0, 0.25, 0.75, 0.75, 0.0, 0.25, 0.25, 0.75, 0.0]);
    assert_eq!(mixed.labels, [2, 0, 1], "the classes of the images themselves");
}

#[test]
fn cutmix_is_that_of_torchvision() {
    // v2.CutMix(num_classes=3).transform(x, dict(labels=..., batch_size=3, box=(1, 0, 2, 2), lam_adjusted=0.5))
    let mut mixed = batch();
    cutmix(&mut mixed, (2, 2), 0..2, 1..2);
    let images = [1.0, 10.0, 3.0, 12.0, 5.0, 2.0, 7.0, 4.0, 9.0, 6.0, 11.0, 8.0];
    assert_eq!(mixed.images, images);
    assert_eq!(mixed.targets, [0.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5, 0.0]);
}

#[test]
fn an_image_alone_is_not_mixed() {
    let alone = HostBatch {
        images: vec![1.0; 4],
        targets: vec![0.0, 1.0],
        labels: vec![1],
    };
    let mut mixed = alone.clone();
    mixup(&mut mixed, 0.3);
    cutmix(&mut mixed, (2, 2), 0..2, 0..2);
    assert_eq!(mixed, alone);
}

/// The smoothed targets are those that PyTorch's loss uses: the loss with them is its loss.
#[test]
fn smoothing_is_that_of_pytorch() {
    // torch.nn.functional.cross_entropy(torch.tensor([[1.0, -2.0, 0.5, 3.0]]), torch.tensor([2]),
    //                                   label_smoothing=0.1).item()
    let mut targets = [0.0, 0.0, 1.0, 0.0];
    smooth(&mut targets, 4, 0.1);
    let logits = [1.0_f64, -2.0, 0.5, 3.0];
    let log_sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    let loss: f64 = logits
        .iter()
        .zip(targets)
        .map(|(logit, target)| (log_sum - logit) * f64::from(target))
        .sum();
    assert!((loss - SMOOTHED_LOSS).abs() < 1e-6, "{loss}");
}

const SMOOTHED_LOSS: f64 = 2.689_753_293_991_089;
