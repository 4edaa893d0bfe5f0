# pipes with names, with modes and owners, used, moved and replaced
ARG BASE=debian
FROM $BASE
RUN mkdir /pipes && mkfifo /pipes/plain && mkfifo -m 620 /pipes/owned && chown games:tty /pipes/owned && \
    mknod -m 666 /pipes/node p && chmod 1777 /pipes/node && (echo through > /pipes/plain & cat /pipes/plain > /pipes/read; wait)
RUN mv /pipes/plain /pipes/moved && rm /pipes/node && mkdir /pipes/node && cp -a /pipes/owned /pipes/copied
