# symbolic links with owners, that dangle, loop, are replaced and replace
ARG BASE=debian
FROM $BASE
RUN mkdir /links /links/folder && cd /links && ln -s nowhere dangling && ln -s loop loop && ln -s /etc/passwd absolute && \
    ln -s folder to-folder && ln -s "with space" "ä b" && chown -h games:games dangling loop to-folder && chown games absolute && \
    touch folder/file && touch replaced-by-link && mkdir replaced
RUN cd /links && ln -sfn /tmp to-folder && rm loop && echo file > loop && rm -r replaced replaced-by-link && ln -s file replaced && \
    ln -s folder replaced-by-link && chown -h 1234:4321 replaced && mv dangling moved && cp -a absolute copied && chown -h daemon /bin
