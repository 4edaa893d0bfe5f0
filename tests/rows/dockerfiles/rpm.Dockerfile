# a package of another manager: owners and modes of its files, a symbolic link's too, and a script that makes a user
ARG BASE=debian
FROM $BASE
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends rpm && apt-get clean
RUN mkdir /made && printf '%s\n' 'Name: probe' 'Version: 1' 'Release: 1' 'Summary: of owners' 'License: none' \
    'BuildArch: noarch' '%description' 'Files of several owners.' '%install' 'mkdir -p %{buildroot}/srv/probe/shared' \
    'echo file > %{buildroot}/srv/probe/file' 'echo "#!/bin/sh" > %{buildroot}/srv/probe/program' \
    'ln -s file %{buildroot}/srv/probe/link' '%files' '%dir %attr(2770,www-data,games) /srv/probe/shared' \
    '%attr(0640,daemon,adm) /srv/probe/file' '%attr(4755,games,games) /srv/probe/program' \
    '%attr(-,mail,mail) /srv/probe/link' '%pre' 'useradd -r -u 800 -U service' '%post' 'chown -h service /srv/probe/link' \
    > /made/probe.spec && rpmbuild -bb --define '_rpmdir /made' --define '_topdir /made/top' /made/probe.spec
RUN rpm -i --nodeps /made/noarch/probe-1-1.noarch.rpm && ls -ln /srv/probe | cut -c1-30 > /listed && rm -r /made
