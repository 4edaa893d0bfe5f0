# a great many small files: made, and some of them given away, changed, removed and moved
ARG BASE=debian
FROM $BASE
ARG FILES
RUN perl -e 'for $n (0..$ARGV[0]-1) { $d = "/many/" . int($n/500); mkdir "/many"; mkdir $d; open F, ">", "$d/$n" or die; print F $n; close F }' $FILES
RUN chown -R games:games /many/0 && chmod 600 /many/1/* && rm -r /many/2 && mv /many/3 /many/moved && echo more >> /many/4/2000
