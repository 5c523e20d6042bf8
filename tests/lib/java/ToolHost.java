import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main() of Apache Kafka's tools one after another in one JVM, since a JVM's start costs more than the tool.
 *
 * A request on standard input: int count, then count strings (class name, arguments), then the tool's standard input.
 * An answer on standard output: int exit code, then the tool's standard output, then its standard error.
 * Strings are an int length and UTF-8 bytes. A tool that is still running after its time is answered with 124; the
 * caller then starts a new host.
 */
public final class ToolHost {
    private static final int TIMED_OUT = 124;
    private static final AtomicReference<Integer> exitCode = new AtomicReference<>();
    private static final Queue<Runnable> shutdownHooks = new ConcurrentLinkedQueue<>();

    /** What a tool's call of Exit turns into; an Error, because tools catch exceptions. */
    private static final class ToolExit extends Error {
        final int code;

        ToolExit(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    /** A stream whose target changes: Scala's Console keeps the first System.out that it sees. */
    private static final class Switch extends OutputStream {
        final AtomicReference<OutputStream> target = new AtomicReference<>(OutputStream.nullOutputStream());

        @Override
        public void write(int b) throws java.io.IOException {
            target.get().write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws java.io.IOException {
            target.get().write(bytes, offset, length);
        }
    }

    /** The metadata shell closes System.out when it is done. */
    private static final class LastingStream extends PrintStream {
        LastingStream(OutputStream target) {
            super(target, true, StandardCharsets.UTF_8);
        }

        @Override
        public void close() {
            flush();
        }
    }

    public static void main(String[] ignored) throws Exception {
        DataInputStream requests = new DataInputStream(new FileInputStream(FileDescriptor.in));
        DataOutputStream answers = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new LastingStream(out));
        System.setErr(new LastingStream(err));
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> shutdownHooks.add(hook));
        while (true) {
            String[] call;
            byte[] input;
            int timeoutMs;
            try {
                timeoutMs = requests.readInt();
                call = new String[requests.readInt()];
                for (int i = 0; i < call.length; i++) {
                    call[i] = new String(readBytes(requests), StandardCharsets.UTF_8);
                }
                input = readBytes(requests);
            } catch (EOFException e) {
                Runtime.getRuntime().halt(0);
                return;
            }
            ByteArrayOutputStream stdout = new ByteArrayOutputStream();
            ByteArrayOutputStream stderr = new ByteArrayOutputStream();
            out.target.set(stdout);
            err.target.set(stderr);
            int code = call(call, new ByteArrayInputStream(input), timeoutMs);
            System.out.flush();
            System.err.flush();
            answers.writeInt(code);
            writeBytes(answers, stdout.toByteArray());
            writeBytes(answers, stderr.toByteArray());
            answers.flush();
        }
    }

    /** The first call counts: a tool that catches every Throwable "exits" a second time with an error. */
    private static void exit(int code) {
        exitCode.compareAndSet(null, code);
        throw new ToolExit(code);
    }

    private static int call(String[] call, InputStream input, int timeoutMs) throws InterruptedException {
        System.setIn(input);
        exitCode.set(null);
        Thread tool = new Thread(() -> {
            exitCode.compareAndSet(null, runMain(call));
            // Where a JVM would end: the console producer, for one, flushes here.
            for (Runnable hook = shutdownHooks.poll(); hook != null; hook = shutdownHooks.poll()) {
                hook.run();
            }
        }, "tool");
        tool.setDaemon(true);
        tool.start();
        tool.join(timeoutMs);
        if (!tool.isAlive()) {
            return exitCode.get();
        }
        for (StackTraceElement frame : tool.getStackTrace()) {
            System.err.println("    at " + frame);
        }
        return TIMED_OUT;
    }

    private static int runMain(String[] call) {
        String[] arguments = new String[call.length - 1];
        System.arraycopy(call, 1, arguments, 0, arguments.length);
        try {
            Class.forName(call[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return 0;
        } catch (InvocationTargetException e) {
            for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
                if (cause instanceof ToolExit) {
                    return ((ToolExit) cause).code;
                }
            }
            e.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            return 1;
        }
    }

    private static byte[] readBytes(DataInputStream in) throws java.io.IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }

    private static void writeBytes(DataOutputStream out, byte[] bytes) throws java.io.IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
