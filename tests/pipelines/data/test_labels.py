"""Labels of images: tables as people have them, and class folders."""

import re

import pytest

from pipelines.data.images import walk_files
from pipelines.data.labels import CLASS_FOLDERS, GT_TABLES, Truth, order_classes, read_truth
from pipelines.data.table_rows import join_rows
from pipelines.data.tables import read_table
from pipelines.runs.errors import InputError

PATHS = ("a.png", "b.png")


def truth_of(folder, text, paths=PATHS):
    (folder / "labels.csv").write_text(text)
    return read_truth(folder, paths)


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("path,label", "label"),
        ("path,Class", "Class"),
        ("path,class_id", "class_id"),
        ("path;Class ID", "Class ID"),
        ("file,ClassId", "ClassId"),
        ("file\tTARGET", "TARGET"),
        ("file,y", "y"),
        ("path,width,ClassId", "ClassId"),
        ("path,width,target,height", "target"),
        ("path,class,y,label", "label"),  # the title that is asked for counts
        ("path,x,class", "class"),
    ],
)
def test_a_column_of_labels_is_known_by_its_title(tmp_path, header, column):
    apart = re.search("[,;\t]", header)[0]
    titles = header.split(apart)
    place = titles.index(column)
    rows = [
        apart.join([path, *(label if at == place else "9" for at in range(1, len(titles)))])
        for path, label in zip(PATHS, ("05", "5"), strict=True)
    ]
    truth = truth_of(tmp_path, "\n".join([header, *rows]))
    assert truth == Truth((column,), {"a.png": ("05",), "b.png": ("5",)}, "labels.csv")


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("path,x,y", ("x", "y")),
        ("path,y,x", ("y", "x")),
        ("path,eye_x,eye_y", ("eye_x", "eye_y")),
        ("path,prediction,angle", ("angle",)),
    ],
)
def test_numbers_that_a_dnn_predicts_are_no_labels(tmp_path, header, columns):
    cells = ",1" * header.count(",")
    truth = truth_of(tmp_path, f"{header}\na.png{cells}\nb.png{cells}\n")
    assert truth.columns == columns


@pytest.mark.parametrize("titles", ["class,target", "ClassId,y", "Label,label", "class,Class"])
def test_of_several_columns_of_labels_the_user_names_one(tmp_path, titles):
    columns = titles.replace(",", ", ")
    words = f"several that may be it: {columns}. Title the right one label, and no other."
    with pytest.raises(InputError, match=words):
        truth_of(tmp_path, f"path,{titles}\na.png,1,2\n")


def test_a_classifier_takes_no_label_from_a_column_that_may_be_anything(tmp_path):
    truth = truth_of(tmp_path, "path,width,sign\na.png,32,stop\nb.png,40,yield\n")
    with pytest.raises(InputError, match=r"one column of labels, received width, sign\. Title the"):
        order_classes(truth, 2, None, several=False)


def test_zeros_in_the_names_of_classes_stay(tmp_path):
    truth = truth_of(tmp_path, "path,label\na.png,05\nb.png,5\n")
    assert order_classes(truth, 2, None, several=False) == ("05", "5")
    truth = truth_of(tmp_path, "path,label\na.png,00\nb.png,01\n")
    assert order_classes(truth, 2, None, several=False) == ("00", "01")
    with pytest.raises(InputError, match="has no class '00'"):
        order_classes(truth, 2, ("0", "1"), several=False)


GT = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def test_tables_of_gtsrb_one_a_folder(tmp_path):
    for folder, class_ in (("00000", 0), ("00014", 14)):
        (tmp_path / folder).mkdir()
        rows = [f"0000{number}.ppm;30;31;5;5;24;25;{class_}" for number in (0, 1)]
        (tmp_path / folder / f"GT-{folder}.csv").write_text("\r\n".join([GT, *rows]))
        for number in (0, 1):
            (tmp_path / folder / f"0000{number}.ppm").touch()
    paths = [path for path in walk_files(tmp_path) if isinstance(path, str)]
    truth = read_truth(tmp_path, paths)
    assert (truth.columns, truth.source) == (("ClassId",), GT_TABLES)
    assert truth.values == {
        "00000/00000.ppm": ("0",),
        "00000/00001.ppm": ("0",),
        "00014/00000.ppm": ("14",),
        "00014/00001.ppm": ("14",),
    }
    names = order_classes(truth, 43, None, several=False)
    assert names == tuple(str(place) for place in range(43))


def test_tables_of_gtsrb_one_for_all(tmp_path):
    (tmp_path / "GT-final_test.csv").write_text(f"{GT}\na.png;9;9;1;1;8;8;05\nb.png;9;9;1;1;8;8;5")
    # The test set comes with a table without classes, too.
    (tmp_path / "GT-final_test.test.csv").write_text("Filename;Width\na.png;9\nb.png;9\n")
    assert list(walk_files(tmp_path)) == []
    assert read_truth(tmp_path, PATHS).values == {"a.png": ("05",), "b.png": ("5",)}
    (tmp_path / "GT-other.csv").write_text(f"{GT}\nb.png;9;9;1;1;8;8;6\n")
    with pytest.raises(InputError, match=r"label of b\.png that another table gives, 5"):
        read_truth(tmp_path, PATHS)
    assert truth_of(tmp_path, "path,label\na.png,7\n").values == {"a.png": ("7",)}


def test_tables_of_gtsrb_without_classes_are_no_labels(tmp_path):
    (tmp_path / "GT-final_test.csv").write_text("Filename;Width\na.png;9\n")
    with pytest.raises(InputError, match="expected a column of labels, such as ClassId or label"):
        read_truth(tmp_path, PATHS)


def test_without_a_table_folders_are_classes(tmp_path):
    truth = read_truth(tmp_path, ["05/a.png", "5/b.png"])
    values = {"05/a.png": ("05",), "5/b.png": ("5",)}
    assert truth == Truth(("label",), values, CLASS_FOLDERS)


def test_labels_without_titles_are_read_and_a_note_says_so(tmp_path):
    truth = truth_of(tmp_path, "a.png,cat\nb.png,dog\n")
    assert truth.values == {"a.png": ("cat",), "b.png": ("dog",)}
    assert truth.notes == (
        "labels.csv has no row of titles: its first row is read as data, as a path and a label.",
    )
    assert truth_of(tmp_path, "path,label\na.png,cat\n").notes == ()


@pytest.mark.parametrize(
    "first", ["a.png,cat,2", "./a.png,cat,2", "{}/a.png,cat,2", "gone.JPG,x,1"]
)
def test_a_table_without_titles_is_refused_where_columns_have_no_meaning(tmp_path, first):
    text = f"{first}\nb.png,dog,3\n".replace("{}", str(tmp_path))
    words = "expected a row of titles, .* in it, which names an image. Put titles above that row."
    with pytest.raises(InputError, match=words):
        truth_of(tmp_path, text)
    file = tmp_path / "labels.csv"
    with pytest.raises(InputError, match=words):
        join_rows(file, read_table(file), PATHS, tmp_path)
