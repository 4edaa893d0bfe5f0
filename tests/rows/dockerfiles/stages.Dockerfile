# files with owners copied from stage to stage, as they are and to other owners
ARG BASE=debian
FROM $BASE AS made
RUN mkdir -p /made/sub && echo a > /made/a && echo b > /made/sub/b && ln /made/a /made/same && ln -s a /made/link && chown -h 12:34 /made/link && \
    chown 1234:4321 /made/a && chown games /made/sub && chmod 2751 /made/sub && cp /usr/bin/id /made/id && chown daemon /made/id && chmod 4755 /made/id && mkfifo /made/fifo

FROM $BASE AS further
COPY --from=made /made /made
RUN chown daemon /made/sub/b

FROM $BASE
RUN useradd -u 1500 app
COPY --from=made /made/ /kept/
COPY --from=further /made/sub /further/
COPY --from=made --chown=app:games /made/ /given/
COPY --from=made --chmod=700 /made/a /made/id /changed/
COPY --from=further --link /made/ /linked/
COPY --from=made /etc/shadow /etc/group /accounts/
