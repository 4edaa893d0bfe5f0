# capabilities on files: set, copied, moved, removed, kept by what does not write the file
ARG BASE=debian
FROM $BASE
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends libcap2-bin && apt-get clean
RUN cp /bin/cat /usr/bin/with && setcap cap_net_raw,cap_net_bind_service+ep /usr/bin/with && cp /usr/bin/with /usr/bin/plain && \
    cp --preserve=all /usr/bin/with /usr/bin/preserved && cp -p /usr/bin/with /usr/bin/lost && chown games /usr/bin/lost
RUN mv /usr/bin/with /usr/bin/moved && chmod 750 /usr/bin/moved && setcap -r /usr/bin/preserved && \
    setcap cap_chown=ei /usr/bin/plain && ln /usr/bin/plain /usr/bin/linked
RUN getcap /usr/bin/moved /usr/bin/plain /usr/bin/linked /usr/bin/preserved /usr/bin/lost > /capabilities
