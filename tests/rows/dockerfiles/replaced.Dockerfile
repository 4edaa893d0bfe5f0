# files removed and made again, as another type too; directories renamed, emptied, and replaced
ARG BASE=debian
FROM $BASE
RUN mkdir -p /w/dir/sub /w/opaque /w/renamed/deep /w/gone && cd /w && echo 1 > file && echo 1 > dir/file && echo 1 > dir/sub/file && \
    echo 1 > opaque/old && echo 1 > renamed/deep/file && chown games renamed/deep && echo 1 > to-dir && echo 1 > gone/file && chmod 640 file
RUN cd /w && rm file && echo 2 > file && rm -r opaque && mkdir opaque && echo 2 > opaque/new && mv renamed moved && rm to-dir && \
    mkdir to-dir && rm -r dir/sub && echo file > dir/sub && rm -r gone && mv /etc/skel /etc/skeleton && rm -r /usr/share/bug && \
    mv /usr/share/common-licenses /w/licenses
RUN cd /w && mkdir gone && mv moved renamed && rm -r to-dir && ln -s file to-dir && rm dir/sub && mkdir dir/sub && mv /etc/skeleton /etc/skel && \
    mv opaque other && mv dir opaque && mv other dir && mkdir /usr/share/bug && chown games:games /usr/share/bug
