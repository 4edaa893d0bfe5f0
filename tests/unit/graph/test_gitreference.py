from __future__ import annotations

import pytest

from ocibuild.graph import GitReference

HTTPS = "https://example.com/me/repo.git"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HTTPS, GitReference(HTTPS)),
        ("http://example.com/repo.git", GitReference("http://example.com/repo.git")),
        ("HTTPS://example.com/repo.git", GitReference("https://example.com/repo.git")),
        ("https://example.com/a%20b/repo.git", GitReference("https://example.com/a%20b/repo.git")),
        ("https://example.com/a b/repo.git", GitReference("https://example.com/a%20b/repo.git")),
        ("https://example.com/repo%2egit", GitReference("https://example.com/repo%2egit")),
        ("https://me:secret@example.com:8443/r.git", GitReference("https://me:secret@example.com:8443/r.git")),
        (f"{HTTPS}#", GitReference(HTTPS)),
        (f"{HTTPS}#v1.0", GitReference(HTTPS, "v1.0")),
        (f"{HTTPS}#feature/x", GitReference(HTTPS, "feature/x")),
        (f"{HTTPS}#feature%2Fx", GitReference(HTTPS, "feature/x")),
        (f"{HTTPS}#v1:docs", GitReference(HTTPS, "v1", "docs")),
        (f"{HTTPS}#v1:docs/a:b", GitReference(HTTPS, "v1", "docs/a:b")),
        (f"{HTTPS}#:docs", GitReference(HTTPS, "", "docs")),
        ("git@example.com:me/repo", GitReference("git@example.com:me/repo")),
        ("git@example.com:me/repo.git#main:sub", GitReference("git@example.com:me/repo.git", "main", "sub")),
        ("other_user@h:r.git?branch=b#:s", GitReference("other_user@h:r.git", "refs/heads/b", "s")),
        ("ssh://git@example.com:2222/r#main", GitReference("ssh://git@example.com:2222/r", "main")),
        ("git://example.com/repo#main", GitReference("git://example.com/repo", "main")),
        (f"{HTTPS}?ref=v1", GitReference(HTTPS, "v1")),
        (f"{HTTPS}?ref=v1#v1", GitReference(HTTPS, "v1")),
        (f"{HTTPS}?tag=v1", GitReference(HTTPS, "refs/tags/v1")),
        (f"{HTTPS}?tag=refs/tags/v1", GitReference(HTTPS, "refs/tags/v1")),
        (f"{HTTPS}?branch=a/b", GitReference(HTTPS, "refs/heads/a/b")),
        (f"{HTTPS}?branch=x#refs/heads/x", GitReference(HTTPS, "refs/heads/x")),
        (f"{HTTPS}?ref=v1&subdir=docs", GitReference(HTTPS, "v1", "docs")),
        (f"{HTTPS}?subdir=docs#v1:docs", GitReference(HTTPS, "v1", "docs")),
        (f"{HTTPS}?checksum=abc123", GitReference(HTTPS, "abc123", commit="abc123")),
        (f"{HTTPS}?commit=abc123#v1", GitReference(HTTPS, "v1", commit="abc123")),
        (f"{HTTPS}?commit=abc&checksum=abc", GitReference(HTTPS, "abc", commit="abc")),
        (f"{HTTPS}?keep-git-dir=true", GitReference(HTTPS, keep_git_dir=True)),
        (f"{HTTPS}?keep-git-dir", GitReference(HTTPS, keep_git_dir=True)),
        (f"{HTTPS}?keep-git-dir=F", GitReference(HTTPS, keep_git_dir=False)),
        (f"{HTTPS}?submodules=0", GitReference(HTTPS, submodules=False)),
        (f"{HTTPS}?submodules=", GitReference(HTTPS, submodules=True)),
    ],
)
def test_a_reference_is_read_as_buildkit_reads_it(text: str, expected: GitReference) -> None:
    assert GitReference.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "./repo.git",
        "../repo.git",
        "repo.git",
        "dir/file",
        "https://example.com/file.tar.gz",
        "https://example.com/repo.git/",
        "https://example.com/repo",
        "https://example.com/file?x=.git",
        "https://example.com/file#.git",
        "http://example.com:port/repo.git",
        "https://example.com/%zz.git",
        "https://example.com/repo\n.git",
        "ftp://example.com/repo.git",
        "file:///repo.git",
        "ext::sh -c true",
        "host:path",
        "git@ho st:path",
        "github.com/me/repo",
    ],
)
def test_what_is_no_git_reference_is_told_apart(text: str) -> None:
    assert GitReference.parse(text) is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?depth=1", "unknown query parameter 'depth'"),
        ("?ref=", "'ref' has no value"),
        ("?ref", "'ref' has no value"),
        ("?ref=a&ref=b", "'ref' is given twice"),
        ("?ref=a#b", "the ref is both 'b' and 'a'"),
        ("?subdir=a#:b", "the subdir is both 'b' and 'a'"),
        ("?tag=a&branch=a", "'branch' and 'tag' exclude each other"),
        ("?tag=a#a", "the ref is both 'a' and 'refs/tags/a'"),
        ("?commit=a&checksum=b", "the commit is both 'b' and 'a'"),
        ("?keep-git-dir=yes", "'keep-git-dir' is 'yes': it is true or false"),
        ("?submodules=2", "'submodules' is '2'"),
    ],
)
@pytest.mark.parametrize("remote", [HTTPS, "git@example.com:repo"], ids=["url", "scp"])
def test_wrong_parameters_are_refused_by_name(remote: str, query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        GitReference.parse(remote + query)


def test_contexts_know_github_without_a_scheme() -> None:
    assert GitReference.parse("github.com/me/repo#main:docs", shorthand=True) == GitReference(
        "https://github.com/me/repo", "main", "docs"
    )


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://me:secret@example.com/r.git", "https://example.com/r.git"),
        ("https://me:se@cret@example.com/r.git", "https://example.com/r.git"),
        ("ssh://git@example.com/r", "ssh://example.com/r"),
        ("git@example.com:r", "git@example.com:r"),
        (HTTPS, HTTPS),
    ],
)
def test_a_remote_is_shown_without_credentials(remote: str, shown: str) -> None:
    assert GitReference(remote).shown == shown
