//! A worker: neighbouring sections, the interfaces on top of them, and its steps with them.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use super::link::{Answer, Lesson, Message, Target, ToAbove, ToBelow, Waited};
use super::notes::{Note, Notes};
use super::report::Staleness;
use crate::feedforward::{Batch, Group, Sent};
use crate::interface::Prediction;
use crate::loss::Reduction;
use crate::pass::Input;
use crate::run::Figure;
use crate::unlock::{GuessedMessage, InputModel};

/// The steps of a burst, as all workers take them.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub steps: Range<usize>,
    /// Steps between two looks at the figures.
    pub check_every: usize,
    /// How many messages of a worker may be without an answer.
    pub depth: usize,
}

/// One of those who train the sections of a chain at the same time, for one burst.
pub(super) struct Worker<'a> {
    course: Course,
    group: Group<'a>,
    /// Its lowest section, counted from that of the chain.
    first: usize,
    /// Where its parameters lie, and all that it computes.
    device: Device,
    lessons: Receiver<Lesson>,
    below: Option<Below<'a>>,
    above: Option<Above>,
    /// The step that it is at.
    step: usize,
    notes: Notes,
    waited: Waited,
}

/// The worker below, seen from here.
struct Below<'a> {
    queues: ToBelow,
    /// What makes its messages up, if inputs are synthetic.
    input_model: Option<&'a mut InputModel>,
    reduction: Reduction,
    /// Guesses whose message has not come, from the oldest on.
    guesses: VecDeque<Guess>,
}

/// A guess of a message that is to come.
struct Guess {
    step: usize,
    guess: GuessedMessage,
    /// Whether the model learns from the message: not if the section below rests.
    learns: bool,
}

/// The worker above, seen from here.
struct Above {
    queues: ToAbove,
    /// Messages that have no answer, from the oldest on.
    kept: VecDeque<Kept>,
    staleness: Staleness,
}

/// What is kept of a message until its answer comes.
struct Kept {
    step: usize,
    prediction: Option<Prediction>,
    context: Option<Tensor<2>>,
}

/// Why a worker has not come to the end of its course.
pub(super) enum Halt {
    /// Another one has stopped.
    Stopped,
    /// A figure is not finite.
    NotFinite { step: usize, figure: Figure },
    /// It panicked.
    Panicked { step: usize, message: String },
}

/// What a worker leaves.
pub(super) struct Outcome {
    pub end: Result<(), Halt>,
    pub notes: Vec<Note>,
    /// Of the interface on top of it.
    pub staleness: Staleness,
    /// The time that it did not wait for others.
    pub busy: Duration,
}

impl<'a> Worker<'a> {
    pub fn new(course: Course, group: Group<'a>, first: usize, lessons: Receiver<Lesson>) -> Self {
        Self {
            step: course.steps.start,
            course,
            device: group.device(),
            group,
            first,
            lessons,
            below: None,
            above: None,
            notes: Notes::default(),
            waited: Waited::default(),
        }
    }

    /// Puts it on top of another one.
    pub fn above(mut self, queues: ToBelow, input_model: Option<&'a mut InputModel>) -> Self {
        self.below = Some(Below {
            queues,
            input_model,
            reduction: self.group.reduction(),
            guesses: VecDeque::new(),
        });
        self
    }

    /// Puts it below another one.
    pub fn below(mut self, queues: ToAbove) -> Self {
        self.above = Some(Above {
            queues,
            kept: VecDeque::new(),
            staleness: Staleness::default(),
        });
        self
    }

    /// Takes all steps. If it stops before that its neighbours hear of it, as its ends of the
    /// queues are dropped.
    pub fn run(mut self) -> Outcome {
        let start = Instant::now();
        let end = catch_unwind(AssertUnwindSafe(|| self.take_steps()));
        Outcome {
            end: end.unwrap_or_else(|panic| {
                Err(Halt::Panicked {
                    step: self.step,
                    message: message_of(&*panic),
                })
            }),
            staleness: self.above.map_or_else(Staleness::default, |a| a.staleness),
            notes: self.notes.into_vec(),
            busy: start.elapsed().saturating_sub(self.waited.0),
        }
    }

    fn take_steps(&mut self) -> Result<(), Halt> {
        let Course {
            steps, check_every, ..
        } = self.course.clone();
        for taken in 1..=steps.len() {
            let lesson = self.waited.receive(&self.lessons)?;
            self.step = lesson.step;
            self.take_step(lesson)?;
            if taken.is_multiple_of(check_every) {
                self.notes.check()?;
            }
        }
        self.catch_up(0)?;
        self.hear_messages(0)?;
        self.notes.check()
    }

    /// One decoupled step, as [`Chain::step`](crate::Chain::step) takes it; but below the lowest
    /// section and above the highest there are other workers.
    fn take_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        let learners = &lesson.learners[self.first..];
        let below_learns = self.first > 0 && lesson.learners[self.first - 1];
        let batch = self.bring(lesson.batch);
        self.group.set_rate_factor(lesson.rate_factor);
        let mut input = self.receive(&batch, below_learns)?;
        let mut below: Option<Sent> = None;
        let highest = self.group.len() - 1;
        for i in 0..=highest {
            if i == highest {
                self.catch_up(self.course.depth - 1)?;
            }
            let done = self.group.section_step(i, input, &batch, learners);
            match below {
                Some(below) => self.learn(i - 1, below, done.target, learners[i - 1]),
                None => self.answer(done.target, below_learns)?,
            }
            let sum = done.output.clone().sum();
            self.notes
                .take(self.step, Figure::Output(self.first + i), sum);
            let Some(sent) = done.sent else {
                let loss = self.group.mean_loss(done.output, batch.target);
                self.notes.take(self.step, Figure::Loss, loss);
                return Ok(());
            };
            input = sent.received();
            below = Some(sent);
        }
        below.map_or(Ok(()), |sent| self.send(sent, batch.context))
    }

    /// What the lowest section runs on: the data, a message from below, or a guess of it.
    fn receive(&mut self, batch: &Batch, below_learns: bool) -> Result<Input, Halt> {
        self.hear_messages(self.course.depth - 1)?;
        let Some(below) = &mut self.below else {
            return Ok(Input::Data(batch.input.clone()));
        };
        let Some(model) = &below.input_model else {
            let message = self.waited.receive(&below.queues.messages)?;
            assert_eq!(message.step, self.step, "messages come in order");
            return Ok(Input::Message(message.output.to_device(&self.device)));
        };
        let guess = model.guess(batch.input.clone());
        let message = guess.message.clone();
        below.guesses.push_back(Guess {
            step: self.step,
            guess,
            learns: below_learns,
        });
        Ok(Input::Message(message))
    }

    /// Sends down what the message of this step is answered with.
    fn answer(&mut self, target: Option<Tensor<2>>, below_learns: bool) -> Result<(), Halt> {
        let Some(below) = &self.below else {
            return Ok(());
        };
        // Nothing was sent in earnest by a section that rests: what was learned is of the guess.
        let guess = below.guesses.back().filter(|_| !below_learns);
        let at = guess.map(|guess| guess.guess.message.clone());
        let answer = Answer {
            step: self.step,
            target: target.map(|delta| Target { delta, at }),
        };
        let sent = below.queues.answers.send(answer);
        sent.map_err(|_| Halt::Stopped)
    }

    /// Sends the message of this step up, and keeps what the answer will be needed for.
    fn send(&mut self, sent: Sent, context: Option<Tensor<2>>) -> Result<(), Halt> {
        let Some(above) = &mut self.above else {
            return Ok(());
        };
        above.kept.push_back(Kept {
            step: self.step,
            prediction: sent.prediction,
            context,
        });
        let message = Message {
            step: self.step,
            output: sent.message,
        };
        let sent = above.queues.messages.send(message);
        sent.map_err(|_| Halt::Stopped)
    }

    /// Lets the synthesizer on top learn from the answers that have come, and waits until no more
    /// than `most` messages are without one.
    fn catch_up(&mut self, most: usize) -> Result<(), Halt> {
        while let Some(above) = &mut self.above {
            let answers = &above.queues.answers;
            let answer = if above.kept.len() > most {
                self.waited.receive(answers)?
            } else if let Ok(answer) = answers.try_recv() {
                answer
            } else {
                break;
            };
            let kept = above.kept.pop_front().expect("an answer is to a message");
            assert_eq!(kept.step, answer.step, "answers come in order");
            let Some(target) = answer.target else {
                continue;
            };
            let [delta, at] = [Some(target.delta), target.at]
                .map(|tensor| tensor.map(|tensor| tensor.to_device(&self.device)));
            let prediction = match at {
                Some(at) => Some(self.group.predict_on_top(at, kept.context)),
                None => kept.prediction,
            };
            if let Some((prediction, delta)) = prediction.zip(delta) {
                let residual = self.group.learn_on_top(prediction, delta);
                above.staleness.note(self.step - kept.step);
                let figure = Figure::Synthesizer(self.first + self.group.len() - 1);
                self.notes
                    .take(kept.step, figure, Figure::loss_of(residual));
            }
        }
        Ok(())
    }

    /// Lets the input model learn from the messages that have come, and waits until no more than
    /// `most` guesses are without theirs.
    fn hear_messages(&mut self, most: usize) -> Result<(), Halt> {
        let Some(below) = &mut self.below else {
            return Ok(());
        };
        let Some(model) = &mut below.input_model else {
            return Ok(());
        };
        while !below.guesses.is_empty() {
            let messages = &below.queues.messages;
            let message = if below.guesses.len() > most {
                self.waited.receive(messages)?
            } else if let Ok(message) = messages.try_recv() {
                message
            } else {
                break;
            };
            let guess = below.guesses.pop_front().expect("there is a guess");
            assert_eq!(guess.step, message.step, "messages come in order");
            if guess.learns {
                let output = message.output.to_device(&self.device);
                let residual = model.learn(guess.guess, output, below.reduction);
                let figure = Figure::InputModel(self.first - 1);
                self.notes
                    .take(guess.step, figure, Figure::loss_of(residual));
            }
        }
        Ok(())
    }

    /// Lets the interface on top of section `i` learn, which is not the highest one.
    fn learn(&mut self, i: usize, sent: Sent, target: Option<Tensor<2>>, was_sent: bool) {
        let (residual, input_residual) = self.group.learn(i, sent, target, was_sent);
        let at = self.first + i;
        let losses = [
            (Figure::Synthesizer(at), residual),
            (Figure::InputModel(at), input_residual),
        ];
        for (figure, residual) in losses {
            if let Some(residual) = residual {
                self.notes
                    .take(self.step, figure, Figure::loss_of(residual));
            }
        }
    }

    /// A batch where this worker computes, but for an input that it has no use for.
    fn bring(&self, batch: Batch) -> Batch {
        let guesses = |below: &Below| below.input_model.is_some();
        let needs_input =
            self.first == 0 || self.group.guesses() || self.below.as_ref().is_some_and(guesses);
        Batch {
            input: match needs_input {
                true => batch.input.to_device(&self.device),
                false => batch.input,
            },
            target: batch.target.to_device(&self.device),
            context: batch.context.map(|c| c.to_device(&self.device)),
        }
    }
}

/// What a panic says.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it does not say why".to_string())
}
