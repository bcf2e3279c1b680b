"""A catalog's URL becomes the root that is probed: real catalogs, and hostile ones."""

import pytest

from downtimer.endpoints import LENGTH_MAX, identity_base, probe_root

PROJECT = "0123456789abcdef0123456789abcdef"
TEMPLATES = ("%(project_id)s", "%(tenant_id)s", "$(project_id)s", PROJECT)

# One port per service: kolla-ansible, OpenStack-Ansible, packages, and TripleO's TLS ports.
OWN_PORT = [
    ("http://10.0.0.5:5000", "http://10.0.0.5:5000/"),
    ("http://10.0.0.5:5000/v3", "http://10.0.0.5:5000/"),
    ("http://10.0.0.5:5000/v3/", "http://10.0.0.5:5000/"),
    ("http://10.0.0.5:35357/v2.0", "http://10.0.0.5:35357/"),
    ("http://10.0.0.5:9292", "http://10.0.0.5:9292/"),
    ("http://10.0.0.5:9292/v2", "http://10.0.0.5:9292/"),
    ("http://10.0.0.5:8774/v2.1", "http://10.0.0.5:8774/"),
    ("http://10.0.0.5:8774/v2/" + PROJECT, "http://10.0.0.5:8774/"),
    ("http://10.0.0.5:8774/v2.1/%(project_id)s", "http://10.0.0.5:8774/"),
    ("http://10.0.0.5:8778", "http://10.0.0.5:8778/"),
    ("http://10.0.0.5:9696", "http://10.0.0.5:9696/"),
    ("http://10.0.0.5:9696/", "http://10.0.0.5:9696/"),
    ("http://10.0.0.5:8776/v3/" + PROJECT, "http://10.0.0.5:8776/"),
    ("http://10.0.0.5:8776/v1/%(tenant_id)s", "http://10.0.0.5:8776/"),
    ("http://10.0.0.5:8004/v1/" + PROJECT, "http://10.0.0.5:8004/"),
    ("http://10.0.0.5:8000/v1", "http://10.0.0.5:8000/"),
    ("http://10.0.0.5:9876", "http://10.0.0.5:9876/"),  # octavia
    ("http://10.0.0.5:9511/v1", "http://10.0.0.5:9511/"),  # magnum
    ("http://10.0.0.5:8786/v2", "http://10.0.0.5:8786/"),  # manila
    ("http://10.0.0.5:8786/v1/" + PROJECT, "http://10.0.0.5:8786/"),
    ("http://10.0.0.5:9001", "http://10.0.0.5:9001/"),  # designate
    ("http://10.0.0.5:9001/v2", "http://10.0.0.5:9001/"),
    ("http://10.0.0.5:9311", "http://10.0.0.5:9311/"),  # barbican
    ("http://10.0.0.5:8779/v1.0/" + PROJECT, "http://10.0.0.5:8779/"),  # trove
    ("http://10.0.0.5:8386/v1.1/" + PROJECT, "http://10.0.0.5:8386/"),  # sahara
    ("http://10.0.0.5:6385", "http://10.0.0.5:6385/"),  # ironic
    ("http://10.0.0.5:5050", "http://10.0.0.5:5050/"),  # ironic-inspector
    ("http://10.0.0.5:8041", "http://10.0.0.5:8041/"),  # gnocchi
    ("http://10.0.0.5:8042", "http://10.0.0.5:8042/"),  # aodh
    ("http://10.0.0.5:9517/v1/", "http://10.0.0.5:9517/"),  # zun
    ("http://10.0.0.5:7480/", "http://10.0.0.5:7480/"),  # s3
    ("https://overcloud.example.com:13774/v2.1", "https://overcloud.example.com:13774/"),
    ("https://overcloud.example.com:13808/v1/AUTH_" + PROJECT, "https://overcloud.example.com:13808/"),
]

# One port for all: devstack, and clouds behind one host name per path.
ONE_PORT = [
    ("http://192.168.1.7/identity", "http://192.168.1.7/identity/"),
    ("http://192.168.1.7/identity/v3/", "http://192.168.1.7/identity/"),
    ("http://192.168.1.7/compute/v2.1", "http://192.168.1.7/compute/"),
    ("http://192.168.1.7/compute/v2/" + PROJECT, "http://192.168.1.7/compute/"),
    ("http://192.168.1.7/image", "http://192.168.1.7/image/"),
    ("http://192.168.1.7/networking", "http://192.168.1.7/networking/"),
    ("http://192.168.1.7:9696/networking/", "http://192.168.1.7:9696/networking/"),
    ("http://192.168.1.7/placement", "http://192.168.1.7/placement/"),
    ("http://192.168.1.7/volume/v3/" + PROJECT, "http://192.168.1.7/volume/"),
    ("http://192.168.1.7/volume/v3", "http://192.168.1.7/volume/"),
    ("http://192.168.1.7/heat-api/v1/" + PROJECT, "http://192.168.1.7/heat-api/"),
    ("http://192.168.1.7/heat-api-cfn/v1", "http://192.168.1.7/heat-api-cfn/"),
    ("http://192.168.1.7/load-balancer", "http://192.168.1.7/load-balancer/"),
    ("http://192.168.1.7/metric", "http://192.168.1.7/metric/"),
    ("http://192.168.1.7/key-manager", "http://192.168.1.7/key-manager/"),
    ("http://192.168.1.7/dns", "http://192.168.1.7/dns/"),
    ("https://cloud.example.com/a/b/compute/v2.1", "https://cloud.example.com/a/b/compute/"),
]

# The path carries an account.
ACCOUNTS = [
    ("http://h:8080/v1/AUTH_" + PROJECT, "http://h:8080/"),
    ("http://h:8080/v1/AUTH_%(tenant_id)s", "http://h:8080/"),
    ("http://h:8080/swift/v1", "http://h:8080/swift/"),
    ("http://h:8080/swift/v1/AUTH_%(project_id)s", "http://h:8080/swift/"),
    ("http://h:8080/swift/v1/" + PROJECT, "http://h:8080/swift/"),
    ("http://h:8080/swift/AUTH_" + PROJECT, "http://h:8080/swift/"),
    *((f"http://h:8776/{project}", "http://h:8776/") for project in TEMPLATES),
    *((f"http://h:8776/v3/{project}", "http://h:8776/") for project in TEMPLATES),
    ("http://h/volume/0f4f5e7a-1111-2222-3333-444455556666", "http://h/volume/"),
]

SPELLINGS = [
    ("HTTP://API.Example.COM:8774/V2.1/", "http://api.example.com:8774/"),
    ("https://h//compute//v2.1//", "https://h/compute/"),
    ("https://h/compute/v2.1?a=b#c", "https://h/compute/"),
    ("https://h?a=b", "https://h/"),
    ("http://[2001:DB8::0:1]:8774/v2.1", "http://[2001:db8::1]:8774/"),
    ("http://[::1]", "http://[::1]/"),
    ("http://h:80/v3", "http://h:80/"),
    ("http://" + "a" * 63 + ".example/", "http://" + "a" * 63 + ".example/"),
    ("http://nova_api.internal.:8774/v2.1", "http://nova_api.internal.:8774/"),
    ("http://bücher.example/v3", "http://xn--bcher-kva.example/"),
    ("http://h/Compute/v2.1", "http://h/Compute/"),
    ("http://h/v1beta1/x", "http://h/"),
    ("http://h/vault/v2cloud.x/v3", "http://h/vault/v2cloud.x/"),
    ("http://h/services/Cloud", "http://h/services/Cloud/"),
]

HOSTILE = [
    "",
    "/v2.1",
    "//h/v2.1",
    "h:8774/v2.1",
    "nova",
    "ftp://h/",
    "ws://h:9000",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "http://",
    "http:///v3",
    "http://:8774/",
    "http://h:0/",
    "http://h:65536/",
    "http://h:port/",
    "http://h:-1/",
    "http://user@h/",
    "http://user:secret@h/",
    "http://h/../admin",
    "http://h/./x",
    "http://h/a b",
    "http://h/\r\nX-Evil: 1",
    "http://h\n/",
    "http://h/\x1b[2J",
    "http://h\\@evil/",
    "http://h/\x00",
    "http://[::1",
    "http://[fe80::1%25eth0]/",
    "http://[nonsense]/",
    "http://ho st/",
    "http://h%2fx/",
    "http://-h/",
    "http://" + "a" * 300 + "é.example/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
    "http://a..b/",
    "http://.a/",
    "http://a-.b/",
    "http://a.b../",
    "http://h\u202e/",
    "http://h\u200b/",
    "http://h/caf\xe9/v1",
    "gopher://h:70/",
    "http://h/" + "a" * LENGTH_MAX,
]


@pytest.mark.parametrize(("url", "root"), OWN_PORT + ONE_PORT + ACCOUNTS + SPELLINGS)
def test_root_has_no_version_project_or_account(url: str, root: str) -> None:
    assert probe_root(url) == root


@pytest.mark.parametrize(("url", "root"), OWN_PORT + ONE_PORT + ACCOUNTS + SPELLINGS)
def test_root_of_a_root_is_itself(url: str, root: str) -> None:
    assert probe_root(root) == root
    assert probe_root(url.rstrip("/")) == root


@pytest.mark.parametrize("url", HOSTILE)
def test_what_cannot_be_probed_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        probe_root(url)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://172.29.236.10:5000", "http://172.29.236.10:5000/v3"),
        ("http://172.29.236.10:5000/", "http://172.29.236.10:5000/v3"),
        ("http://172.29.236.10:5000/v3", "http://172.29.236.10:5000/v3"),
        ("https://h/identity/v3/", "https://h/identity/v3"),
        ("https://h/identity", "https://h/identity/v3"),
    ],
)
def test_identity_is_found_with_and_without_version(url: str, base: str) -> None:
    assert identity_base(url) == base
