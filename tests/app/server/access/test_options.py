"""Host, login and roots of the command line, and Gradio's variables of the environment."""

import os

import pytest

from app.server.access import Access, check_access, clean_environment
from pipelines.runs.errors import InputError


@pytest.fixture
def login(tmp_path):
    """Write a password file as another system would, with more than the password in it."""
    (tmp_path / "password").write_bytes(b" open: s\xc3\xa9same \r\nnot the password\r\n")
    return f"eva:{tmp_path / 'password'}"


def test_without_options_only_this_machine_reaches_the_page_and_needs_no_login():
    access = check_access(None, None, [])
    assert access == Access("127.0.0.1", "", "", ())


@pytest.mark.parametrize("option", ["none", "auth", "root"])
def test_another_host_needs_a_login_and_a_root(tmp_path, login, option):
    auth = login if option == "auth" else None
    roots = [tmp_path] if option == "root" else []
    with pytest.raises(InputError, match=r"--host 0\.0\.0\.0 .* --auth .* --root"):
        check_access("0.0.0.0", auth, roots)


@pytest.mark.parametrize("host", ["::", "::1", "[::1]", "eyes.example:7860"])
def test_a_host_that_is_no_name_and_no_address_of_version_4_is_refused(tmp_path, login, host):
    with pytest.raises(InputError, match="expected a name or an IPv4 address"):
        check_access(host, login, [tmp_path])


def test_another_host_with_a_login_and_a_root(tmp_path, login):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    access = check_access("0.0.0.0", login, [tmp_path / "link", tmp_path / "images" / ".."])
    assert (access.host, access.user) == ("0.0.0.0", "eva")
    assert access.roots == (tmp_path / "images", tmp_path)


def test_the_password_is_the_first_line_without_its_line_end(login):
    assert check_access(None, login, []).password == " open: sésame "


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nmore", "\r\n\r\n"])
def test_any_line_end_or_none_may_follow_the_password(tmp_path, ending):
    (tmp_path / "password").write_bytes(f"sesame{ending}".encode())
    assert check_access(None, f"eva:{tmp_path / 'password'}", []).password == "sesame"


def test_the_name_of_the_password_file_may_hold_colons(tmp_path):
    (tmp_path / "a:b").write_text("sesame")
    access = check_access(None, f"eva:{tmp_path / 'a:b'}", [])
    assert (access.user, access.password) == ("eva", "sesame")


@pytest.mark.parametrize("auth", ["eva", "eva:", ":password", ":"])
def test_a_malformed_login_is_refused(auth):
    with pytest.raises(InputError, match=f"expected USER:PASSWORD-FILE, received '{auth}'"):
        check_access(None, auth, [])


def test_a_password_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone cannot be read: .*No such file"):
        check_access(None, f"eva:{tmp_path / 'gone'}", [])


def test_a_password_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "password").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="password cannot be read"):
        check_access(None, f"eva:{tmp_path / 'password'}", [])


@pytest.mark.parametrize("content", ["", "\n", "\r\n", "\nsesame\n"])
def test_an_empty_password_is_refused(tmp_path, content):
    (tmp_path / "password").write_bytes(content.encode())
    with pytest.raises(InputError, match=r"first line of .*password is empty"):
        check_access(None, f"eva:{tmp_path / 'password'}", [])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_no_folder_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"--root: .*{name} is not a folder"):
        check_access(None, None, [tmp_path, tmp_path / name])


def test_of_gradios_variables_only_the_folder_of_temporary_files_stays(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        monkeypatch.delenv(name)
    variables = {
        "SHARE": "True",
        "ALLOWED_PATHS": "/",
        "ANALYTICS_ENABLED": "True",
        "TEMP_DIR": "/t",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"GRADIO_{name}", value)
    monkeypatch.setenv("OTHER", "stays")
    clean_environment()
    rest = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    assert rest == {"GRADIO_TEMP_DIR": "/t", "GRADIO_ANALYTICS_ENABLED": "False"}
    assert os.environ["OTHER"] == "stays"
