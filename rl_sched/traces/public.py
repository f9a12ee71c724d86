"""Public traces and where their owners serve them: address, size and checksum of every file.

Repositories are pinned to a commit, so that an address always gives the same bytes. Files are stored below the folder
of traces under the names that the readers look for; where such a name ends in ``.gz`` and the address does not, the
file is zipped on arrival. The checksum is always that of the bytes at the address.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

_GITHUB = "https://raw.githubusercontent.com/"
_LFS = "https://media.githubusercontent.com/media/"  # GitHub's large files
_BUCKET = "https://storage.googleapis.com/"
_ZIPPED = ".gz"


class PublicFile(NamedTuple):
    """One file."""

    path: str  # below the folder of traces
    address: str
    size: int  # bytes at the address
    sha256: str  # of the bytes at the address

    @property
    def zipped_here(self) -> bool:
        """Whether the file is stored zipped although it is served as it is."""
        return self.path.endswith(_ZIPPED) and not self.address.endswith(_ZIPPED)


class PublicTrace(NamedTuple):
    """What ``fetch NAME`` gets."""

    about: str
    licence: str
    credit: str
    files: tuple[PublicFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def _raw(repository: str, commit: str, folder: str = "") -> str:
    return _GITHUB + "/".join(filter(None, (repository, commit, folder)))


def _files(base: str, rows: Iterable[tuple[str, str, int, str]]) -> tuple[PublicFile, ...]:
    """Files ``(path, name below base, size, sha256)``."""
    return tuple(
        PublicFile(path, f"{base}/{quote(name, safe='/=,')}", size, sha256) for path, name, size, sha256 in rows
    )


# fmt: off
PUBLIC: dict[str, PublicTrace] = {
    "gavel": PublicTrace(
        "Gavel's Philly-like traces and physical-cluster traces, with its throughputs by GPU type",
        "MIT; the msr traces derive from the Philly trace, CC-BY-4.0",
        "D. Narayanan et al., OSDI 2020",
        _files(_raw("stanford-futuredata/gavel", "c4fa40097339", "scheduler"), (
            ("gavel/msr_seed0_6c71a0.trace.gz", "traces/msr/seed=0/6c71a0.trace", 378457,
             "dfd3ae4c9b4d886b2146ed41b6adc9f0105e21ecda3bff33459844c232b18f0e"),
            ("gavel/msr_seed0_ee9e8c.trace.gz", "traces/msr/seed=0/ee9e8c.trace", 379404,
             "ce629ae806113d60daa51dd9423030333a1abf45ee2a51c1013cdfdc49782a5c"),
            ("gavel/msr_seed0_2869ce.trace", "traces/msr/seed=0/2869ce.trace", 100966,
             "f2ea5209f8d8d2844aefc2ffc0cd9e7e08a53ec0c3f8bbe9d6f336e29d93fa3c"),
            ("gavel/msr_seed0_e13805.trace", "traces/msr/seed=0/e13805.trace", 114754,
             "76a5d2119774f81f1107091833fb18039faed8618cd7829cbf5829f74231fe2d"),
            ("gavel/msr_seed0_ed69ec.trace.gz", "traces/msr/seed=0/ed69ec.trace", 179642,
             "498b1cdae5247e842e6d6875fe7fecde8ab28ceb1bb4525bb1f25f37f9241597"),
            ("gavel/msr_seed1_6c71a0.trace.gz", "traces/msr/seed=1/6c71a0.trace", 378096,
             "87587b710b4c113cef0c2614a465f430124173f371423006ca0fa96d8a40a29b"),
            ("gavel/physical_max_min_fairness.trace", "traces/physical_cluster/max_min_fairness.trace", 14458,
             "dc13589c23c7b77d37d3d1014ff499e0c1ffca2959ce35d0e4ce70b71247424b"),
            ("gavel/physical_minimize_makespan.trace", "traces/physical_cluster/minimize_makespan.trace", 14099,
             "b00befc3fc2a62c1776fd70d978065e3fb1ae75fd06b37557f2425fe51556bc5"),
            ("gavel/physical_small_test.trace", "traces/physical_cluster/small_test.trace", 2860,
             "1a216a80d1f40bc2b88a3edb5f14ff687560024c085a6392613618a47cbe54dc"),
            ("throughputs/gavel_simulation_throughputs.json.gz", "simulation_throughputs.json", 1240176,
             "17111f7295f03265fd9e5118d7eba31e3dd9d6e50a2e215c13ad3d3f91f74381"),
        )),
    ),
    "shockwave": PublicTrace(
        "120 jobs whose batch size changes while they run",
        "MIT",
        "P. Zheng et al., NSDI 2023",
        _files(_raw("uw-mad-dash/shockwave", "8a44f4a27a45", "scheduler/traces/reproduce"), (
            ("shockwave/120_dynamic.trace",
             "120_0.2_5_100_40_25_0,0.5,0.5_0.6,0.3,0.09,0.01_multigpu_dynamic.trace", 18720,
             "f5728b8c038c330d21b98bc5930949d21769bd956e2ad457a4eb167dd33f34d6"),
        )),
    ),
    "elasticflow": PublicTrace(
        "195 jobs with deadlines, and scaling curves of models on T4 and A100",
        "Apache-2.0",
        "D. Gu et al., ASPLOS 2023",
        _files(_raw("pkusys/ElasticFlow", "ce1bf5202b99", "ElasticFlow/traces_for_ElasticFlow"), (
            ("elasticflow/elasticVpollux_e.csv", "elasticVpollux_e.csv", 8732,
             "b904030b4426d480a9eca8a841f7f3a9f889edca7f55d85109bae0f36aafbd7f"),
        )) + _files(_raw("pkusys/ElasticFlow", "04a0109a6acd", "ElasticFlow/scheduler"), (
            ("throughputs/elasticflow_A100/bert.csv", "throughputs_A100/bert.csv", 296,
             "7a0a81e8570b2474d4cab330a93b20830228170bfea0c8a12319300b7cae9dc7"),
            ("throughputs/elasticflow_A100/deepspeech2.csv", "throughputs_A100/deepspeech2.csv", 284,
             "9971817f583d5dfe45d1409dd4db2976b5657bbb8964d1e929cdcb715d06743e"),
            ("throughputs/elasticflow_A100/gpt2.csv", "throughputs_A100/gpt2.csv", 303,
             "a461033925114e094d87532fa4e5242339d3ac79ac2f23e756d201d9dde6957a"),
            ("throughputs/elasticflow_A100/inception3.csv", "throughputs_A100/inception3.csv", 302,
             "a0da7a84eeea61d4ffd07bd47d7ecda44d20e661f2d197033c65b5d0d9de32e9"),
            ("throughputs/elasticflow_A100/resnet50.csv", "throughputs_A100/resnet50.csv", 439,
             "d28dff1b5c85c76590686c8fdb1124c0001db421376e3a5627c1c94853096fd5"),
            ("throughputs/elasticflow_A100/resnet50_cifar10.csv", "throughputs_A100/resnet50_cifar10.csv", 282,
             "fd2778b32fd31e4dbdbb42bd77d3d0ebca761f758b0bbfed39416070c59d1f0e"),
            ("throughputs/elasticflow_A100/vgg16.csv", "throughputs_A100/vgg16.csv", 433,
             "b536b3a532b26f2a60982a57282c58a0c4b7712958179a1c3ec1869851ea530d"),
            ("throughputs/elasticflow_T4/bert.csv", "throughputs_T4/bert.csv", 179,
             "167d6080720a28c35dba312761aefaafbbed9a2ab6b073cb5bc63ff8055ba518"),
            ("throughputs/elasticflow_T4/cifar10.csv", "throughputs_T4/cifar10.csv", 302,
             "ddac86c6934f02d975f18e6c7e218d9a55ac2a43055cab16219902fed036f4a2"),
            ("throughputs/elasticflow_T4/deepspeech2.csv", "throughputs_T4/deepspeech2.csv", 304,
             "104bbec207bb8a5c8756b8bb93add3f75033bee79070c9f8f73ecb2d149b430d"),
            ("throughputs/elasticflow_T4/imagenet.csv", "throughputs_T4/imagenet.csv", 319,
             "e5d7d80c92046826f9e63aeeb3ae5d72ed076c75361f000248f3dccf75d4029b"),
            ("throughputs/elasticflow_T4/ncf.csv", "throughputs_T4/ncf.csv", 170,
             "7018bb3767554bde917207136008897117cd9cdf43ecb4ec5d30070502593e30"),
            ("throughputs/elasticflow_T4/yolov3.csv", "throughputs_T4/yolov3.csv", 143,
             "2aa3a81977b0a4791aa913bbb090b2f2d205ea49cf70e62a797d942b0a42491d"),
        )),
    ),
    "philly-json": PublicTrace(
        "the whole Philly trace, 117,325 jobs; unpack it and give cluster_job_log to the format philly-json",
        "CC-BY-4.0",
        "M. Jeon et al., ATC 2019",
        _files(_LFS + "msr-fiddle/philly-traces/9425c49842ff332bf748967fd7ff0ab64112ad10", (
            ("philly/trace-data.tar.gz", "trace-data.tar.gz", 1055988361,
             "2037ccf63a725a02be718b0e1aeee6142c90b7f62d0d849295120e9f6ba13d2c"),
        )),
    ),
    "philly-nodes": PublicTrace(
        "busy and available nodes of the Philly cluster by minute, and nodes per virtual cluster",
        "MIT; derived from the Philly trace, CC-BY-4.0",
        "Q. Hu et al., SC 2021",
        _files(_raw("S-Lab-System-Group/HeliosArtifact", "bdaae109c21f", "framework"), (
            ("philly/philly_node_sequence.csv.gz", "CES Service/data/philly_node_sequence.csv", 2955757,
             "4d430364b7d4e18e180b4ab116f36bace689baf9ca05bffa9b257dc6bdc794ac"),
            ("philly/philly_vc.csv", "QSSF Service/data/philly_vc.csv", 120,
             "a6873abd7d94a09c646961ad7a0f011faf4069dcdf0c1f7717521613fd6156f7"),
        )),
    ),
    "openb": PublicTrace(
        "8,152 pods with fractional GPUs and the nodes of a heterogeneous cluster (Alibaba 2023)",
        "Apache-2.0",
        "Q. Weng et al., ATC 2023",
        _files(_raw("hkust-adsl/kubernetes-scheduler-simulator", "8f3d6417353c", "data/csv"), (
            ("alibaba_openb_2023/openb_node_list_gpu_node.csv", "openb_node_list_gpu_node.csv", 42353,
             "2beca64b4d3dfa342036a34b56a495c6cef9225db836c81f541282cb1df320b5"),
            ("alibaba_openb_2023/openb_node_list_all_node.csv", "openb_node_list_all_node.csv", 52287,
             "5a85c2af79c66a1efff8bbcbda430400aae56d8431370d738480967e1a9c6b15"),
            ("alibaba_openb_2023/openb_pod_list_default.csv.gz", "openb_pod_list_default.csv", 575468,
             "1ee7ed79c27a3b0861cda8ddba86a004c6aba904caafa329a76ae93ca63834a8"),
            ("alibaba_openb_2023/openb_pod_list_gpuspec10.csv.gz", "openb_pod_list_gpuspec10.csv", 579461,
             "2dc7e4cb9480484f08539720b433a9ec9ab5d76b396f3f7557c53a2ff78a7611"),
            ("alibaba_openb_2023/openb_pod_list_multigpu20.csv.gz", "openb_pod_list_multigpu20.csv", 271530,
             "d9ec6f6c74fb980cc0b81239470c6353fceea077ea9abd610003b604c7cc2b01"),
        )),
    ),
    "pai-machines": PublicTrace(
        "the machines of the PAI cluster (Alibaba 2020); its job tables are published elsewhere",
        "CC-BY-4.0",
        "Q. Weng et al., NSDI 2022",
        _files(_raw("qzweng/clusterdata-cluster-trace-gpu-v2020-data", "e60d925fec47"), (
            ("alibaba_pai_2020/pai_machine_spec.tar.gz", "pai_machine_spec.tar.gz", 30449,
             "cc0d38a4045af1b1af8179de8b1b54b1ddd995e6160d6d061a6b1000f1276c2d"),
        )),
    ),
    "helios": PublicTrace(
        "daily GPUs, load curve and summary of Helios clusters; its job logs are published elsewhere",
        "MIT; derived from HeliosData, CC-BY-4.0",
        "Q. Hu et al., SC 2021",
        _files(_raw("S-Lab-System-Group/HeliosArtifact", "bdaae109c21f", "analysis"), (
            ("helios/Earth/cluster_gpu_number.csv",
             "2_cluster characterization/Earth_vcs/Earth_gpu_number.csv", 15230,
             "cd85b21f9b2651a64ed7ecb86f2c5dea771a3bd55d41537eea976b61aa00642f"),
            ("helios/Earth/vc6YE_cluster_sequence_vc.csv.gz",
             "2_cluster characterization/Earth_vcs/vc6YE/cluster_sequence_vc.csv", 3734983,
             "a3f5604c54c0dcf630cc7c5c4f4b9194ee64276dc3697f748a159ea0a3ac937a"),
            ("helios/helios_cluster_summary.csv", "1_compare with Philly trace/helios_cluster_summary.csv", 1319,
             "9cfbef77bdcfab43e0ffbc886e9d8ca8ac0dd16528945c52d76693179a6122f6"),
        )),
    ),
    "google-2011": PublicTrace(
        "the first parts of Google's Borg trace of May 2011: events of jobs and tasks",
        "CC-BY-4.0",
        "J. Wilkes and C. Reiss, clusterdata-2011-2",
        _files(_BUCKET + "clusterdata-2011-2", (
            ("google_2011/job_events/part-00000-of-00500.csv.gz", "job_events/part-00000-of-00500.csv.gz", 752545,
             "921fa8e019fb8ec5be9a2cb096912850d5959da33d9fb3b46807d9d0a9eae86f"),
            ("google_2011/job_events/part-00001-of-00500.csv.gz", "job_events/part-00001-of-00500.csv.gz", 125467,
             "8d8c0278664757c79b2ce865d3e4e83531abf836e7ed6da3321b8309a3099c58"),
            ("google_2011/job_events/part-00002-of-00500.csv.gz", "job_events/part-00002-of-00500.csv.gz", 140869,
             "d8ef067adfc1e968816d02ca1f29fdae9fe5d5c92e3a893c72e7754189e22556"),
            ("google_2011/job_events/part-00003-of-00500.csv.gz", "job_events/part-00003-of-00500.csv.gz", 168239,
             "91560eb58db4b79e420c87b61a2f1c391ff5f35a256a6ec822e39d4bd9419626"),
            ("google_2011/job_events/part-00004-of-00500.csv.gz", "job_events/part-00004-of-00500.csv.gz", 179454,
             "4957d5114389fe282abf7b73719aa7a61026f1b535337a0bfb067d42cf2442df"),
            ("google_2011/job_events/part-00005-of-00500.csv.gz", "job_events/part-00005-of-00500.csv.gz", 125801,
             "786e1ca0cf5e726a6d92467162cb4ac8f65d3c1e85a14e561c1292e4117f4821"),
            ("google_2011/job_events/part-00006-of-00500.csv.gz", "job_events/part-00006-of-00500.csv.gz", 93648,
             "1bf0218832fd22569b182f8df47f071017f79119a78fdf428f099330db6a4c33"),
            ("google_2011/job_events/part-00007-of-00500.csv.gz", "job_events/part-00007-of-00500.csv.gz", 107445,
             "57677cd0d18129a8b3bb1a9ec01e839da7bb02deb62ba144090b6f9ce5f09b75"),
            ("google_2011/job_events/part-00008-of-00500.csv.gz", "job_events/part-00008-of-00500.csv.gz", 116432,
             "d6a9f69da401055ed441808bb50aae14649f2b5813147358778e3a11de94fbc3"),
            ("google_2011/job_events/part-00009-of-00500.csv.gz", "job_events/part-00009-of-00500.csv.gz", 118207,
             "a01d4058f13170fbc60d369bdfbfcc09d387273b294b90c954a4104b6bf40cb1"),
            ("google_2011/task_events/part-00000-of-00500.csv.gz", "task_events/part-00000-of-00500.csv.gz", 4139742,
             "eae977d521bc6ed5d8deef56f1e06009d41844d4eb9a7e308e610d68e1b10f18"),
            ("google_2011/task_events/part-00001-of-00500.csv.gz", "task_events/part-00001-of-00500.csv.gz", 924634,
             "c122f250cf1f9817dc722a5b7457eb5caf122619accfada078de66d40f311501"),
            ("google_2011/task_events/part-00002-of-00500.csv.gz", "task_events/part-00002-of-00500.csv.gz", 1821031,
             "3534b71a7c6a3952f192485c4726119ff8d904fc2d7b828b8d96987db4aab767"),
            ("google_2011/task_events/part-00003-of-00500.csv.gz", "task_events/part-00003-of-00500.csv.gz", 1335641,
             "23b3df1b0e6c06d56c0cb28359635931bd0bbb7e584423537e23104580c56740"),
        )),
    ),
    "lingjun": PublicTrace(
        "three-layer network topology of 847 GPU hosts (Alibaba 2023)",
        "Apache-2.0",
        "Alibaba Lingjun dataset 2023",
        _files(_raw("alibaba/alibaba-lingjun-dataset-2023", "2ad3fd1e2fd1", "data"), (
            ("alibaba_lingjun_2023/topo.csv", "topo.csv", 64002,
             "95b67f62c4ecb25fd1be816a96c5b10808c4604a83effd4a79d13461a05a3af6"),
        )),
    ),
}
# fmt: on
