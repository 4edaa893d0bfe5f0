# what dpkg is told of owners and modes of its files, and keeps when it unpacks them again
ARG BASE=debian
FROM $BASE
RUN groupadd -g 700 mounters && dpkg-statoverride --update --add root mounters 4750 /usr/bin/mount && \
    dpkg-statoverride --update --add daemon "#700" 2710 /var/lib/misc && dpkg-statoverride --list
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends libcap2-bin && \
    dpkg-statoverride --update --add daemon daemon 0700 /sbin/getcap && \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --reinstall libcap2-bin && apt-get clean
