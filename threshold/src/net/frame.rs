//! What travels on a link: one hello from each side, then frames.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | hello: 8 + 32 | the word `synod/1\n`, then the lock hash of the cluster |
//! | frame: 4 + n | the length n as a big-endian `u32`, then n bytes for the node |
//! | heartbeat: 4 | a frame of length 0; it never reaches the node |
//!
//! Nothing here knows what a frame says.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The longest frame that is sent or accepted.
///
/// The largest message is a co-signing request or a proposal with its certificates: an aggregate of
/// Electra is about 17 KB, 64 partial signatures are 6 KB, a proposal with q round changes of q
/// endorsements each stays under 100 KB for 13 operators. 1 MiB leaves room for larger clusters
/// and is small enough that one frame per peer can be held in memory while it arrives.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// How often a side that has nothing to say sends a heartbeat.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a link may be silent before it counts as cut: three lost heartbeats and some slack, so
/// that a cable pulled without a FIN is noticed within five seconds.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(4);

/// The bytes before a frame that hold its length.
pub(super) const HEADER_BYTES: usize = 4;

const HELLO_WORD: [u8; 8] = *b"synod/1\n";
const HELLO_BYTES: usize = 8 + 32;

/// Why the stream cannot be read or written any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the peer closed the link")]
    Closed,
    #[error("the link was cut in the middle of a frame")]
    Truncated,
    #[error("nothing came for {} s", SILENCE_LIMIT.as_secs())]
    Silent,
    #[error("the peer announced a frame of {length} bytes, at most {MAX_FRAME_BYTES} are allowed")]
    TooLong { length: u32 },
    #[error("reading or writing failed")]
    Io(#[source] io::Error),
}

/// Why the two sides do not go on after their hellos.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    #[error("the peer does not begin with the protocol's hello")]
    NoHello,
    #[error(
        "the peer runs another cluster: expected lock hash {}, got {}",
        hex::encode(.expected),
        hex::encode(.got)
    )]
    OtherCluster { expected: [u8; 32], got: [u8; 32] },
    #[error("the hello was cut short")]
    Io(#[source] io::Error),
}

/// Sends this node's hello, reads the peer's and compares the clusters.
///
/// Both sides write before they read, so that each learns what the other one runs.
pub(super) async fn exchange_hello<S>(stream: &mut S, lock_hash: [u8; 32]) -> Result<(), HelloError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ours = BytesMut::with_capacity(HELLO_BYTES);
    ours.put_slice(&HELLO_WORD);
    ours.put_slice(&lock_hash);
    stream.write_all(&ours).await.map_err(HelloError::Io)?;
    stream.flush().await.map_err(HelloError::Io)?;

    let mut word = [0; HELLO_WORD.len()];
    stream.read_exact(&mut word).await.map_err(HelloError::Io)?;
    if word != HELLO_WORD {
        return Err(HelloError::NoHello);
    }
    let mut got = [0; 32];
    stream.read_exact(&mut got).await.map_err(HelloError::Io)?;
    if got != lock_hash {
        return Err(HelloError::OtherCluster { expected: lock_hash, got });
    }
    Ok(())
}

/// Appends one frame to a buffer that is about to be written.
///
/// The caller has checked the length against [`MAX_FRAME_BYTES`]; an empty frame is a heartbeat.
pub(super) fn encode_frame(payload: &[u8], buffer: &mut BytesMut) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    buffer.put_u32(length);
    buffer.put_slice(payload);
}

/// Reads the next frame that is no heartbeat.
pub(super) async fn read_frame<R>(reader: &mut R) -> Result<Bytes, FrameError>
where
    R: AsyncRead + Unpin,
{
    loop {
        let mut header = [0; HEADER_BYTES];
        match read_full(reader, &mut header).await? {
            Filled::Wholly => {}
            Filled::Nothing => return Err(FrameError::Closed),
            Filled::Partly => return Err(FrameError::Truncated),
        }
        let length = u32::from_be_bytes(header);
        if length == 0 {
            continue;
        }
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= MAX_FRAME_BYTES => bytes,
            _ => return Err(FrameError::TooLong { length }),
        };
        let mut payload = vec![0; bytes];
        return match read_full(reader, &mut payload).await? {
            Filled::Wholly => Ok(Bytes::from(payload)),
            Filled::Nothing | Filled::Partly => Err(FrameError::Truncated),
        };
    }
}

/// How much of a buffer was filled when the stream ended.
enum Filled {
    Wholly,
    Partly,
    Nothing,
}

/// Fills the buffer; each read on its own has to bring something within [`SILENCE_LIMIT`].
///
/// Time that the caller spends between two calls (because the node is busy) does not count.
async fn read_full<R>(reader: &mut R, buffer: &mut [u8]) -> Result<Filled, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut rest = buffer;
    let mut any = false;
    while !rest.is_empty() {
        let read = timeout(SILENCE_LIMIT, reader.read(rest))
            .await
            .map_err(|_| FrameError::Silent)?
            .map_err(FrameError::Io)?;
        if read == 0 {
            return Ok(if any { Filled::Partly } else { Filled::Nothing });
        }
        any = true;
        rest = rest.get_mut(read..).unwrap_or_default();
    }
    Ok(Filled::Wholly)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn read_all(bytes: Vec<u8>) -> (Vec<Bytes>, FrameError) {
        let mut reader = Cursor::new(bytes);
        let mut frames = Vec::new();
        loop {
            match read_frame(&mut reader).await {
                Ok(frame) => frames.push(frame),
                Err(error) => return (frames, error),
            }
        }
    }

    #[tokio::test]
    async fn frames_come_back_in_order_and_heartbeats_are_skipped() {
        let mut buffer = BytesMut::new();
        encode_frame(b"one", &mut buffer);
        encode_frame(b"", &mut buffer);
        encode_frame(&[7; MAX_FRAME_BYTES], &mut buffer);
        let (frames, end) = read_all(buffer.to_vec()).await;
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].as_ref(), b"one");
        assert_eq!(frames[1].len(), MAX_FRAME_BYTES);
        assert!(matches!(end, FrameError::Closed));
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
        for length in [u32::try_from(MAX_FRAME_BYTES).unwrap() + 1, u32::MAX] {
            let (frames, end) = read_all(length.to_be_bytes().to_vec()).await;
            assert!(frames.is_empty());
            assert!(matches!(end, FrameError::TooLong { length: got } if got == length));
        }
    }

    #[tokio::test]
    async fn an_end_inside_header_or_payload_is_truncated() {
        for bytes in [vec![0], vec![0, 0, 0], vec![0, 0, 0, 2], vec![0, 0, 0, 2, 1]] {
            let (frames, end) = read_all(bytes).await;
            assert!(frames.is_empty());
            assert!(matches!(end, FrameError::Truncated));
        }
    }

    /// A stream whose reading and writing sides are separate.
    struct Duplex {
        input: Cursor<Vec<u8>>,
        output: Vec<u8>,
    }

    impl AsyncRead for Duplex {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.input).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Duplex {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::pin::Pin::new(&mut self.output).poll_write(cx, buf)
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    async fn hello_against(input: &[u8]) -> (Result<(), HelloError>, Vec<u8>) {
        let mut stream = Duplex { input: Cursor::new(input.to_vec()), output: Vec::new() };
        let result = exchange_hello(&mut stream, [1; 32]).await;
        (result, stream.output)
    }

    #[tokio::test]
    async fn hello_with_the_same_lock_hash_is_accepted() {
        let (result, sent) = hello_against(&[b"synod/1\n".as_slice(), &[1; 32]].concat()).await;
        result.unwrap();
        assert_eq!(sent, [b"synod/1\n".as_slice(), &[1; 32]].concat());
    }

    #[tokio::test]
    async fn hello_of_another_cluster_names_both_lock_hashes() {
        let (result, sent) = hello_against(&[b"synod/1\n".as_slice(), &[2; 32]].concat()).await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains(&hex::encode([1; 32])) && text.contains(&hex::encode([2; 32])));
        assert_eq!(sent.len(), HELLO_BYTES, "the other side has to learn our lock hash too");
    }

    #[tokio::test]
    async fn other_words_and_short_hellos_are_refused() {
        let (result, _) = hello_against(&[b"GET / HT".as_slice(), &[1; 32]].concat()).await;
        assert!(matches!(result, Err(HelloError::NoHello)));
        let (result, _) = hello_against(&[b"synod/1\n".as_slice(), &[1; 31]].concat()).await;
        assert!(matches!(result, Err(HelloError::Io(_))));
    }
}
