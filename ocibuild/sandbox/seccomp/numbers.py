"""System calls by name and ABI, as the kernel's headers number them (Linux 7.2), where some rule names them."""

from __future__ import annotations

from ocibuild.values import NamedTuple

HIGHEST = 471
"""The highest number of a system call that this table was made with: the same for every ABI."""


class ABI(NamedTuple):
    """One way of calling the kernel, as a filter sees it: its name for the architecture, and what is in numbers.

    ``offset`` is a bit set in every number. ``private`` are numbers past the common ones that the ABI has for itself.
    """

    name: str
    audit_arch: int  # AUDIT_ARCH_ of linux/audit.h
    column: int
    offset: int = 0
    private: range = range(0)

    def number(self, name: str) -> int | None:
        """Return the number of a system call; None where the ABI has no such call. KeyError: nobody has."""
        common = _COMMON.get(name)
        if common is not None:
            return self.offset + common
        number = _BY_ABI[name][self.column]
        return None if number < 0 else self.offset + number


_X86_64 = ABI("x86_64", 0xC000003E, 0)
_I386 = ABI("i386", 0x40000003, 1)
_X32 = ABI("x32", 0xC000003E, 2, offset=1 << 30, private=range(512, 548))
_ARM = ABI("arm", 0x40000028, 4, private=range(0xF0000, 0xF0007))

ABIS: dict[str, tuple[ABI, ...]] = {
    "x86_64": (_X86_64, _X32, _I386),
    "aarch64": (ABI("aarch64", 0xC00000B7, 3), _ARM),
    "riscv64": (ABI("riscv64", 0xC00000F3, 3),),
    "loongarch64": (ABI("loongarch64", 0xC0000102, 3),),
    "ppc64le": (ABI("ppc64le", 0xC0000015, 5),),
    "s390x": (ABI("s390x", 0x80000016, 6),),
}
"""What each machine's kernel answers, as uname(2) names machines; its own ABI comes first."""

# since Linux 5.1 a new call has one number everywhere
_COMMON = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "faccessat2": 439,
    "process_madvise": 440,
    "epoll_pwait2": 441,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "futex_waitv": 449,
    "set_mempolicy_home_node": 450,
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
    "rseq_slice_yield": 471,
}

# x86_64, i386, x32, asm-generic (aarch64, riscv64, loongarch64), arm, ppc64le, s390x; -1 is none
_BY_ABI = {
    # what docker refuses to a container without more than its default capabilities
    "acct": (163, 51, 163, 89, 51, 51, 51),
    "add_key": (248, 286, 248, 217, 309, 269, 278),
    "bpf": (321, 357, 321, 280, 386, 361, 351),
    "clock_settime": (227, 264, 227, 112, 262, 245, 259),
    "clock_settime64": (-1, 404, -1, -1, 404, -1, -1),
    "delete_module": (176, 129, 176, 106, 129, 129, 129),
    "fanotify_init": (300, 338, 300, 262, 367, 323, 332),
    "finit_module": (313, 350, 313, 273, 379, 353, 344),
    "get_mempolicy": (239, 275, 239, 236, 320, 260, 269),
    "init_module": (175, 128, 175, 105, 128, 128, 128),
    "ioperm": (173, 101, 173, -1, -1, 101, -1),
    "iopl": (172, 110, 172, -1, -1, 110, -1),
    "kcmp": (312, 349, 312, 272, 378, 354, 343),
    "kexec_file_load": (320, -1, 320, 294, 401, 382, 381),
    "kexec_load": (246, 283, 528, 104, 347, 268, 277),
    "keyctl": (250, 288, 250, 219, 311, 271, 280),
    "lookup_dcookie": (212, 253, 212, 18, 249, 235, 110),
    "mbind": (237, 274, 237, 235, 319, 259, 268),
    "migrate_pages": (256, 294, 256, 238, 400, 258, 287),
    "mount": (165, 21, 165, 40, 21, 21, 21),
    "move_pages": (279, 317, 533, 239, 344, 301, 310),
    "nfsservctl": (180, 169, -1, 42, 169, 168, 169),
    "open_by_handle_at": (304, 342, 304, 265, 371, 346, 336),
    "pciconfig_iobase": (-1, -1, -1, -1, 271, 200, -1),
    "pciconfig_read": (-1, -1, -1, -1, 272, 198, -1),
    "pciconfig_write": (-1, -1, -1, -1, 273, 199, -1),
    "perf_event_open": (298, 336, 298, 241, 364, 319, 331),
    "pivot_root": (155, 217, 155, 41, 218, 203, 217),
    "quotactl": (179, 131, 179, 60, 131, 131, 131),
    "reboot": (169, 88, 169, 142, 88, 88, 88),
    "request_key": (249, 287, 249, 218, 310, 270, 279),
    "rtas": (-1, -1, -1, -1, -1, 255, -1),
    "s390_guarded_storage": (-1, -1, -1, -1, -1, -1, 378),
    "s390_sthyi": (-1, -1, -1, -1, -1, -1, 380),
    "set_mempolicy": (238, 276, 238, 237, 321, 261, 270),
    "setdomainname": (171, 121, 171, 162, 121, 121, 121),
    "sethostname": (170, 74, 170, 161, 74, 74, 74),
    "setns": (308, 346, 308, 268, 375, 350, 339),
    "settimeofday": (164, 79, 164, 170, 79, 79, 79),
    "spu_create": (-1, -1, -1, -1, -1, 279, -1),
    "spu_run": (-1, -1, -1, -1, -1, 278, -1),
    "stime": (-1, 25, -1, -1, -1, 25, -1),
    "subpage_prot": (-1, -1, -1, -1, -1, 310, -1),
    "swapoff": (168, 115, 168, 225, 115, 115, 115),
    "swapon": (167, 87, 167, 224, 87, 87, 87),
    "switch_endian": (-1, -1, -1, -1, -1, 363, -1),
    "sys_debug_setcontext": (-1, -1, -1, -1, -1, 256, -1),
    "_sysctl": (156, 149, -1, -1, 149, 149, 149),
    "sysfs": (139, 135, 139, -1, 135, 135, 135),
    "syslog": (103, 103, 103, 116, 103, 103, 103),
    "umount": (-1, 22, -1, -1, -1, 22, 22),
    "umount2": (166, 52, 166, 39, 52, 52, 52),
    "unshare": (272, 310, 272, 97, 337, 282, 303),
    "uselib": (134, 86, -1, -1, 86, 86, 86),
    "userfaultfd": (323, 374, 323, 282, 388, 364, 355),
    "ustat": (136, 62, 136, -1, 62, 62, 62),
    "vhangup": (153, 111, 153, 58, 111, 111, 111),
    "vm86": (-1, 166, -1, -1, -1, 113, -1),
    "vm86old": (-1, 113, -1, -1, -1, -1, -1),
    # what depends on its arguments
    "clone": (56, 120, 56, 220, 120, 120, 120),
    "chroot": (161, 61, 161, 51, 61, 61, 61),
    "prctl": (157, 172, 157, 167, 172, 171, 172),
    "prlimit64": (302, 340, 302, 261, 369, 325, 334),
    "setrlimit": (160, 75, 160, 164, 75, 75, 75),
    "utimensat": (280, 320, 280, 88, 348, 304, 315),
    "personality": (135, 136, 135, 92, 136, 136, 136),
    "ptrace": (101, 26, 521, 117, 26, 26, 26),
    "seccomp": (317, 354, 317, 277, 383, 358, 348),
    "socket": (41, 359, 41, 198, 281, 326, 359),
    "socketcall": (-1, 102, -1, -1, -1, 102, 102),
    # owners, modes and names of files
    "bind": (49, 361, 49, 200, 282, 327, 361),
    "capset": (126, 185, 126, 91, 185, 184, 185),
    "chmod": (90, 15, 90, -1, 15, 15, 15),
    "chown": (92, 182, 92, -1, 182, 181, 212),
    "chown32": (-1, 212, -1, -1, 212, -1, -1),
    "creat": (85, 8, 85, -1, 8, 8, 8),
    "execve": (59, 11, 520, 221, 11, 11, 11),
    "execveat": (322, 358, 545, 281, 387, 362, 354),
    "fchmod": (91, 94, 91, 52, 94, 94, 94),
    "fchmodat": (268, 306, 268, 53, 333, 297, 299),
    "fchown": (93, 95, 93, 55, 95, 95, 207),
    "fchown32": (-1, 207, -1, -1, 207, -1, -1),
    "fchownat": (260, 298, 260, 54, 325, 289, 291),
    "fgetxattr": (193, 231, 193, 10, 231, 214, 229),
    "flistxattr": (196, 234, 196, 13, 234, 217, 232),
    "fremovexattr": (199, 237, 199, 16, 237, 220, 235),
    "fsetxattr": (190, 228, 190, 7, 228, 211, 226),
    "getxattr": (191, 229, 191, 8, 229, 212, 227),
    "lchown": (94, 16, 94, -1, 16, 16, 198),
    "lchown32": (-1, 198, -1, -1, 198, -1, -1),
    "lgetxattr": (192, 230, 192, 9, 230, 213, 228),
    "link": (86, 9, 86, -1, 9, 9, 9),
    "linkat": (265, 303, 265, 37, 330, 294, 296),
    "listxattr": (194, 232, 194, 11, 232, 215, 230),
    "llistxattr": (195, 233, 195, 12, 233, 216, 231),
    "lremovexattr": (198, 236, 198, 15, 236, 219, 234),
    "lsetxattr": (189, 227, 189, 6, 227, 210, 225),
    "mkdir": (83, 39, 83, -1, 39, 39, 39),
    "mkdirat": (258, 296, 258, 34, 323, 287, 289),
    "mknod": (133, 14, 133, -1, 14, 14, 14),
    "mknodat": (259, 297, 259, 33, 324, 288, 290),
    "open": (2, 5, 2, -1, 5, 5, 5),
    "openat": (257, 295, 257, 56, 322, 286, 288),
    "removexattr": (197, 235, 197, 14, 235, 218, 233),
    "rename": (82, 38, 82, -1, 38, 38, 38),
    "renameat": (264, 302, 264, 38, 329, 293, 295),
    "renameat2": (316, 353, 316, 276, 382, 357, 347),
    "rmdir": (84, 40, 84, -1, 40, 40, 40),
    "setxattr": (188, 226, 188, 5, 226, 209, 224),
    "symlink": (88, 83, 88, -1, 83, 83, 83),
    "symlinkat": (266, 304, 266, 36, 331, 295, 297),
    "unlink": (87, 10, 87, -1, 10, 10, 10),
    "unlinkat": (263, 301, 263, 35, 328, 292, 294),
    # what a stat(2) can be
    "fstat": (5, 108, 5, 80, 108, 108, 108),
    "fstat64": (-1, 197, -1, -1, 197, -1, -1),
    "fstatat64": (-1, 300, -1, -1, 327, -1, -1),
    "lstat": (6, 107, 6, -1, 107, 107, 107),
    "lstat64": (-1, 196, -1, -1, 196, -1, -1),
    "newfstatat": (262, -1, 262, 79, -1, 291, 293),
    "stat": (4, 106, 4, -1, 106, 106, 106),
    "stat64": (-1, 195, -1, -1, 195, -1, -1),
    # IDs of processes
    "getegid": (108, 50, 108, 177, 50, 50, 202),
    "getegid32": (-1, 202, -1, -1, 202, -1, -1),
    "geteuid": (107, 49, 107, 175, 49, 49, 201),
    "geteuid32": (-1, 201, -1, -1, 201, -1, -1),
    "getgid": (104, 47, 104, 176, 47, 47, 200),
    "getgid32": (-1, 200, -1, -1, 200, -1, -1),
    "getgroups": (115, 80, 115, 158, 80, 80, 205),
    "getgroups32": (-1, 205, -1, -1, 205, -1, -1),
    "getresgid": (120, 171, 120, 150, 171, 170, 211),
    "getresgid32": (-1, 211, -1, -1, 211, -1, -1),
    "getresuid": (118, 165, 118, 148, 165, 165, 209),
    "getresuid32": (-1, 209, -1, -1, 209, -1, -1),
    "getuid": (102, 24, 102, 174, 24, 24, 199),
    "getuid32": (-1, 199, -1, -1, 199, -1, -1),
    "setfsgid": (123, 139, 123, 152, 139, 139, 216),
    "setfsgid32": (-1, 216, -1, -1, 216, -1, -1),
    "setfsuid": (122, 138, 122, 151, 138, 138, 215),
    "setfsuid32": (-1, 215, -1, -1, 215, -1, -1),
    "setgid": (106, 46, 106, 144, 46, 46, 214),
    "setgid32": (-1, 214, -1, -1, 214, -1, -1),
    "setgroups": (116, 81, 116, 159, 81, 81, 206),
    "setgroups32": (-1, 206, -1, -1, 206, -1, -1),
    "setregid": (114, 71, 114, 143, 71, 71, 204),
    "setregid32": (-1, 204, -1, -1, 204, -1, -1),
    "setresgid": (119, 170, 119, 149, 170, 169, 210),
    "setresgid32": (-1, 210, -1, -1, 210, -1, -1),
    "setresuid": (117, 164, 117, 147, 164, 164, 208),
    "setresuid32": (-1, 208, -1, -1, 208, -1, -1),
    "setreuid": (113, 70, 113, 145, 70, 70, 203),
    "setreuid32": (-1, 203, -1, -1, 203, -1, -1),
    "setuid": (105, 23, 105, 146, 23, 23, 213),
    "setuid32": (-1, 213, -1, -1, 213, -1, -1),
    # added with Linux 4.5 to 5.0
    "copy_file_range": (326, 377, 326, 285, 391, 379, 375),
    "io_pgetevents": (333, 385, 333, 292, 399, 388, 382),
    "pkey_alloc": (330, 381, 330, 289, 395, 384, 385),
    "pkey_free": (331, 382, 331, 290, 396, 385, 386),
    "pkey_mprotect": (329, 380, 329, 288, 394, 386, 384),
    "preadv2": (327, 378, 546, 286, 392, 380, 376),
    "pwritev2": (328, 379, 547, 287, 393, 381, 377),
    "rseq": (334, 386, 334, 293, 398, 387, 383),
    "statx": (332, 383, 332, 291, 397, 383, 379),
}
