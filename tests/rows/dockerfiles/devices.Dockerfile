# device nodes: of both kinds, with modes and owners, moved and replaced
ARG BASE=debian
FROM $BASE
RUN mkdir /devices && mknod /devices/null c 1 3 && mknod -m 660 /devices/disk b 8 1 && mknod /devices/big c 511 1048575 && \
    chown root:disk /devices/disk && chmod 666 /devices/null
RUN mv /devices/null /devices/moved && rm /devices/big && echo file > /devices/big && ln /devices/disk /devices/linked && \
    cp -a /devices/disk /devices/copied
